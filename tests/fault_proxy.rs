//! The proxy the fault tests rely on does what it says, and nothing else.

#![cfg(unix)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::fault_proxy::{Cut, Door, FaultProxy, Faults, Toward, Way};

/// Both ends of one connection through a proxy.
struct Pair {
    proxy: FaultProxy,
    listener: TcpListener,
    runtime: TcpStream,
    hub: TcpStream,
}

fn pair(seed: u64, prepare: impl FnOnce(&FaultProxy)) -> Pair {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let proxy = FaultProxy::start(listener.local_addr().expect("an address"), seed);
    prepare(&proxy);
    let (runtime, hub) = connect(&proxy, &listener);
    Pair { proxy, listener, runtime, hub }
}

fn connect(proxy: &FaultProxy, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let before = proxy.connections();
    let runtime = TcpStream::connect(proxy.address()).expect("the proxy listens");
    let (hub, _) = listener.accept().expect("the proxy connects");
    proxy.wait_connections(before + 1, support::soon());
    for socket in [&runtime, &hub] {
        socket.set_read_timeout(Some(support::PATIENCE)).expect("a timeout");
        socket.set_nodelay(true).expect("no delay");
    }
    (runtime, hub)
}

fn bytes(count: usize) -> Vec<u8> {
    (0..=250).cycle().take(count).collect()
}

fn read_exactly(mut socket: &TcpStream, count: usize) -> Vec<u8> {
    let mut read = vec![0; count];
    socket.read_exact(&mut read).expect("all of it");
    read
}

/// Reads to the end; the error kind tells a reset from a FIN.
fn read_to_end(mut socket: &TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut read = Vec::new();
    let ending = socket.read_to_end(&mut read);
    (read, ending.err().map(|error| error.kind()))
}

#[test]
fn everything_passes_unchanged_in_pieces_of_any_size() {
    for pieces_of in [None, Some(1), Some(7000)] {
        let way = Way { pieces_of, ..Way::default() };
        let pair = pair(1, |proxy| {
            proxy.set_faults(Faults { to_hub: way.clone(), to_runtime: way });
        });
        let sent = bytes(100_000);
        (&pair.runtime).write_all(&sent).expect("up");
        assert_eq!(read_exactly(&pair.hub, sent.len()), sent);
        (&pair.hub).write_all(&sent).expect("down");
        drop(pair.hub);
        assert_eq!(read_to_end(&pair.runtime), (sent, None));
    }
}

#[test]
fn a_cut_is_seen_by_both_sides_as_what_it_is() {
    for (cut, ending) in [(Cut::Fin, None), (Cut::Reset, Some(ErrorKind::ConnectionReset))] {
        let pair = pair(1, |_| {});
        (&pair.runtime).write_all(b"before").expect("up");
        assert_eq!(read_exactly(&pair.hub, 6), b"before");
        pair.proxy.cut(cut);
        assert_eq!(read_to_end(&pair.runtime), (Vec::new(), ending));
        assert_eq!(read_to_end(&pair.hub), (Vec::new(), ending));
    }
}

#[test]
fn a_reset_of_one_side_reaches_the_other() {
    let pair = pair(1, |_| {});
    socket2::SockRef::from(&pair.runtime).set_linger(Some(Duration::ZERO)).expect("linger");
    drop(pair.runtime);
    assert_eq!(read_to_end(&pair.hub).1, Some(ErrorKind::ConnectionReset));
}

#[test]
fn after_silence_the_hub_learns_nothing_until_the_burial() {
    let Pair { proxy, listener, runtime, hub } = pair(1, |_| {});
    proxy.cut(Cut::Silence);
    (&runtime).write_all(b"lost").expect("the kernel takes it");
    drop(runtime);
    // A second connection passes all the while.
    let (second, second_hub) = connect(&proxy, &listener);
    (&second).write_all(b"found").expect("up");
    assert_eq!(read_exactly(&second_hub, 5), b"found");
    hub.set_nonblocking(true).expect("non-blocking");
    let error = (&hub).read(&mut [0; 8]).expect_err("neither bytes nor an end");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);

    hub.set_nonblocking(false).expect("blocking");
    proxy.bury();
    assert!(read_to_end(&hub).0.is_empty());
    (&second).write_all(b"alive").expect("up");
    assert_eq!(read_exactly(&second_hub, 5), b"alive");
}

#[test]
fn a_delay_moves_every_byte_and_a_rate_spreads_them() {
    let delay = Duration::from_millis(60);
    let pair = pair(1, |_| {});
    let delayed = Way { delay, ..Way::default() };
    pair.proxy.set_faults(Faults { to_hub: delayed.clone(), to_runtime: delayed });
    let start = Instant::now();
    (&pair.runtime).write_all(b"ping").expect("up");
    assert_eq!(read_exactly(&pair.hub, 4), b"ping");
    (&pair.hub).write_all(b"pong").expect("down");
    assert_eq!(read_exactly(&pair.runtime, 4), b"pong");
    assert!(start.elapsed() >= 2 * delay, "{:?}", start.elapsed());

    let slow = Way { rate: Some(500_000), ..Way::default() };
    pair.proxy.set_faults(Faults { to_hub: slow, to_runtime: Way::default() });
    let start = Instant::now();
    (&pair.runtime).write_all(&bytes(60_000)).expect("up");
    assert_eq!(read_exactly(&pair.hub, 60_000), bytes(60_000));
    assert!(start.elapsed() >= Duration::from_millis(100), "{:?}", start.elapsed());
}

#[test]
fn a_stalled_direction_holds_and_the_other_goes_on() {
    let pair = pair(1, |proxy| {
        let stalled = Way { stalled: true, ..Way::default() };
        proxy.set_faults(Faults { to_hub: stalled, to_runtime: Way::default() });
    });
    (&pair.runtime).write_all(b"up").expect("the kernel takes it");
    (&pair.hub).write_all(b"down").expect("down");
    assert_eq!(read_exactly(&pair.runtime, 4), b"down");
    pair.hub.set_nonblocking(true).expect("non-blocking");
    assert!((&pair.hub).read(&mut [0; 8]).is_err(), "nothing came up");
    pair.hub.set_nonblocking(false).expect("blocking");
    pair.proxy.set_faults(Faults::default());
    assert_eq!(read_exactly(&pair.hub, 2), b"up");
}

#[test]
fn connections_are_cut_at_exactly_the_byte_the_seed_says() {
    let positions = |seed| {
        let Pair { proxy, listener, mut runtime, mut hub } = pair(seed, |proxy| {
            proxy.set_cuts(|_, rng| Some((Toward::Hub, rng.u64(1..50_000), Cut::Reset)));
        });
        let mut positions = Vec::new();
        for _ in 0..3 {
            // The reset may come while this is still writing.
            let _ = (&runtime).write_all(&bytes(50_000));
            let (read, ending) = read_to_end(&hub);
            assert_eq!(ending, Some(ErrorKind::ConnectionReset));
            assert_eq!(read, bytes(50_000)[..read.len()]);
            positions.push(read.len());
            (runtime, hub) = connect(&proxy, &listener);
        }
        assert_eq!(proxy.connections(), 4);
        positions
    };
    assert_eq!(positions(7), positions(7));
    assert_ne!(positions(7), positions(8));
}

#[test]
fn a_closed_door_resets_or_keeps_silent() {
    let Pair { proxy, .. } = pair(1, |_| {});
    proxy.set_door(Door::Reset);
    let refused = TcpStream::connect(proxy.address()).expect("accepted by the kernel");
    assert_eq!(read_to_end(&refused).1, Some(ErrorKind::ConnectionReset));

    proxy.set_door(Door::Deaf);
    let deaf = TcpStream::connect(proxy.address()).expect("accepted");
    (&deaf).write_all(b"hello?").expect("the kernel takes it");
    deaf.set_nonblocking(true).expect("non-blocking");
    assert_eq!((&deaf).read(&mut [0; 8]).expect_err("silence").kind(), ErrorKind::WouldBlock);
    assert_eq!(proxy.connections(), 1, "those do not count");
    proxy.wait_connections(1, support::soon());
}
