//! The runtime's side of the socket, by hand: a WebSocket client that says and
//! reads exactly what a test tells it.

use std::io;
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message, WebSocket};

use super::PATIENCE;

/// One connection.
pub struct BareRuntime {
    pub socket: WebSocket<TcpStream>,
}

/// How the other side ended a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// A plain FIN, without a Close frame.
    Fin,
    /// A reset.
    Reset,
    /// A Close frame with this code.
    Close(Option<CloseCode>),
}

impl BareRuntime {
    /// Connects and says nothing yet.
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("a WebSocket handshake")
    }

    /// The same where it may fail.
    pub fn try_connect(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        let url = format!("ws://{address}/ws/runtime");
        let (socket, _) = tungstenite::client(url, stream).map_err(|error| error.to_string())?;
        Ok(Self { socket })
    }

    /// Connects, says hello with this id and one endpoint, and reads the ack.
    pub fn registered(address: SocketAddr, id: &str, endpoint: &str, token: &str) -> Self {
        let mut runtime = Self::connect(address);
        runtime.hello(id, endpoint, token);
        let ack = runtime.read();
        assert_eq!(ack["payload"]["ok"], true, "{ack}");
        runtime
    }

    pub fn hello(&mut self, id: &str, endpoint: &str, token: &str) {
        let registration = json!([{ "id": endpoint, "profile": "generic-cli", "name": endpoint }]);
        self.say(
            "runtime.hello",
            &json!({
                "runtime_id": id,
                "token": token,
                "endpoints": registration,
                "agents": registration,
            }),
        );
    }

    pub fn say(&mut self, kind: &str, payload: &Value) {
        let ts = "2026-01-02T03:04:05Z";
        let envelope = json!({ "type": kind, "ts": ts, "payload": payload });
        self.socket.send(Message::text(envelope.to_string())).expect("a message goes out");
    }

    pub fn ping(&mut self, content: &'static [u8]) {
        self.socket.send(Message::Ping(content.into())).expect("a ping goes out");
    }

    /// The next text message.
    pub fn read(&mut self) -> Value {
        loop {
            match self.socket.read().expect("a message") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Ping(_) => {}
                other => panic!("expected a text message, got {other:?}"),
            }
        }
    }

    /// The content of the next pong; nothing else may come before it.
    pub fn read_pong(&mut self) -> Vec<u8> {
        match self.socket.read().expect("a message") {
            Message::Pong(content) => content.to_vec(),
            other => panic!("expected a pong, got {other:?}"),
        }
    }

    /// Reads on until the connection ends.
    pub fn read_ending(&mut self) -> Ending {
        loop {
            match self.socket.read() {
                Ok(Message::Close(frame)) => return Ending::Close(frame.map(|frame| frame.code)),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Ending::Reset;
                }
                Err(Error::Protocol(_) | Error::ConnectionClosed) => return Ending::Fin,
                Err(error) => panic!("neither message nor ending: {error}"),
            }
        }
    }
}
