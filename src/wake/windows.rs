//! Two ends of a TCP connection over loopback: what is polled must be a socket,
//! and nobody can come between the ends of one that is connected.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;

pub(super) type End = TcpStream;

pub(super) fn pair() -> io::Result<(Arc<End>, Arc<End>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let writer = TcpStream::connect(listener.local_addr()?)?;
    let own = writer.local_addr()?;
    let reader = loop {
        let (reader, from) = listener.accept()?;
        // Anybody on this machine can connect, too.
        if from == own {
            break reader;
        }
    };
    writer.set_nodelay(true)?;
    for end in [&writer, &reader] {
        end.set_nonblocking(true)?;
    }
    Ok((Arc::new(writer), Arc::new(reader)))
}

pub(super) fn ring(mut end: &End) {
    let _ = end.write(&[1]);
}

pub(super) fn drain(mut end: &End) {
    let mut taken = [0u8; 64];
    while matches!(end.read(&mut taken), Ok(n) if n == taken.len()) {}
}
