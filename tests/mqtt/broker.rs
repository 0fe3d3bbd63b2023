//! A broker for one connection at a time, which the tests tell what to do.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rumqttc::{ConnAck, Connect, ConnectReturnCode, Error, Packet, PubAck, PubComp, PubRec, QoS};

/// A message that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: String,
    pub retain: bool,
    /// Which connection it came over, from 0 on.
    pub connection: usize,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    connects: Vec<Connect>,
    /// Messages that are acknowledged before the broker falls silent; `None`: all.
    acknowledges: Option<usize>,
    hangs_up: bool,
    ends: bool,
    said_goodbye: bool,
}

pub struct Broker {
    pub port: u16,
    shared: Arc<(Mutex<State>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Broker {
    /// A broker on any free port.
    pub fn start() -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// A broker on a port, where one has been before.
    pub fn start_on(port: u16) -> Self {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            match TcpListener::bind(("127.0.0.1", port)) {
                Ok(listener) => return Self::listen(listener),
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn listen(listener: TcpListener) -> Self {
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let shared: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let theirs = shared.clone();
        let thread = std::thread::spawn(move || {
            let mut connection = 0;
            while !theirs.0.lock().unwrap().ends {
                match listener.accept() {
                    Ok((stream, _)) => {
                        serve(stream, connection, &theirs);
                        connection += 1;
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self {
            port,
            shared,
            thread: Some(thread),
        }
    }

    /// Acknowledges `number` more messages and then none.
    pub fn acknowledge_only(&self, number: usize) {
        self.shared.0.lock().unwrap().acknowledges = Some(number);
    }

    /// Ends the connection that there is, without a word, and acknowledges everything on the next one.
    pub fn hang_up(&self) {
        let mut state = self.shared.0.lock().unwrap();
        state.hangs_up = true;
        state.acknowledges = None;
    }

    /// Waits until `is_so` of the messages, and gives them.
    pub fn wait(&self, is_so: impl Fn(&[Message]) -> bool) -> Vec<Message> {
        let (state, changed) = &*self.shared;
        let state = state.lock().unwrap();
        let (state, waited) = changed
            .wait_timeout_while(state, Duration::from_secs(30), |state| !is_so(&state.messages))
            .unwrap();
        assert!(!waited.timed_out(), "{:?}", state.messages);
        state.messages.clone()
    }

    pub fn messages(&self) -> Vec<Message> {
        self.shared.0.lock().unwrap().messages.clone()
    }

    /// How clients have introduced themselves.
    pub fn connects(&self) -> Vec<Connect> {
        self.shared.0.lock().unwrap().connects.clone()
    }

    /// Whether a client ends its connection as it should, which the broker reads a moment after it was sent.
    pub fn hears_goodbye(&self) -> bool {
        let (state, changed) = &*self.shared;
        let state = state.lock().unwrap();
        let waited = changed.wait_timeout_while(state, Duration::from_secs(10), |state| !state.said_goodbye);
        waited.unwrap().0.said_goodbye
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        {
            let mut state = self.shared.0.lock().unwrap_or_else(|broken| broken.into_inner());
            state.ends = true;
            state.hangs_up = true;
        }
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

fn serve(mut stream: TcpStream, connection: usize, shared: &(Mutex<State>, Condvar)) {
    stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let mut bytes = BytesMut::new();
    let mut chunk = [0; 4096];
    loop {
        loop {
            match Packet::read(&mut bytes, 1 << 20) {
                Ok(packet) => {
                    let mut out = BytesMut::new();
                    if !answer(packet, connection, shared, &mut out) {
                        return;
                    }
                    if stream.write_all(&out).is_err() {
                        return;
                    }
                }
                Err(Error::InsufficientBytes(_)) => break,
                Err(error) => panic!("a client writes {error}"),
            }
        }
        {
            let mut state = shared.0.lock().unwrap();
            if std::mem::take(&mut state.hangs_up) {
                return;
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) => return,
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}

/// Returns whether the connection goes on.
fn answer(packet: Packet, connection: usize, shared: &(Mutex<State>, Condvar), out: &mut BytesMut) -> bool {
    let mut state = shared.0.lock().unwrap();
    // Nothing more of what has come already.
    if std::mem::take(&mut state.hangs_up) {
        return false;
    }
    match packet {
        Packet::Connect(connect) => {
            state.connects.push(connect);
            ConnAck::new(ConnectReturnCode::Success, false)
                .write(out)
                .unwrap();
        }
        Packet::Publish(publish) => {
            state.messages.push(Message {
                topic: publish.topic.clone(),
                payload: String::from_utf8(publish.payload.to_vec()).unwrap(),
                retain: publish.retain,
                connection,
            });
            shared.1.notify_all();
            match &mut state.acknowledges {
                Some(0) => return true,
                Some(left) => *left -= 1,
                None => {}
            }
            match publish.qos {
                QoS::AtMostOnce => {}
                QoS::AtLeastOnce => {
                    PubAck::new(publish.pkid).write(out).unwrap();
                }
                QoS::ExactlyOnce => {
                    PubRec::new(publish.pkid).write(out).unwrap();
                }
            }
        }
        Packet::PubRel(release) => {
            PubComp::new(release.pkid).write(out).unwrap();
        }
        Packet::PingReq => {
            rumqttc::PingResp.write(out).unwrap();
        }
        Packet::Disconnect => {
            state.said_goodbye = true;
            shared.1.notify_all();
            return false;
        }
        other => panic!("a client sends {other:?}"),
    }
    true
}
