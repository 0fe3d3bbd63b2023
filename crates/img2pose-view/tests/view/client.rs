//! HTTP as far as these tests need it: requests are written by hand, so that they can be wrong.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use img2pose_view::{Token, View};

/// Stands in front of each picture.
const HEAD: &[u8] = b"--picture\r\nContent-Type: image/jpeg\r\n\r\n";
/// No test waits so long unless it fails.
const PATIENCE: Duration = Duration::from_secs(120);

pub fn view() -> View {
    View::start("127.0.0.1:0".parse().unwrap(), None).unwrap()
}

pub fn view_with_token(token: &str) -> View {
    View::start("127.0.0.1:0".parse().unwrap(), Some(Token::new(token).unwrap())).unwrap()
}

/// An answer, of which the head was read.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    rest: BufReader<TcpStream>,
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// GET `path`, with `headers` as lines.
pub fn get_with(address: SocketAddr, path: &str, headers: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\n{headers}\r\n"))
}

/// GET `path`, from this machine.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    get_with(address, path, "Host: localhost\r\n")
}

/// Any request, as text.
pub fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut rest = BufReader::new(stream);
    let mut line = String::new();
    rest.read_line(&mut line).unwrap();
    let status = line
        .split(' ')
        .nth(1)
        .unwrap_or_else(|| panic!("no answer: {line:?}"));
    let status = status.parse().unwrap();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        rest.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    Answer {
        status,
        headers,
        rest,
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        let header = self.headers.iter().find(|(found, _)| found == name);
        header.map_or("", |(_, value)| value)
    }

    /// The whole body, of the length that the head says.
    pub fn body(mut self) -> Vec<u8> {
        let mut body = vec![0; self.header("content-length").parse().unwrap()];
        self.rest.read_exact(&mut body).unwrap();
        body
    }

    pub fn text(self) -> String {
        String::from_utf8(self.body()).unwrap()
    }

    /// The next chunk of a body that does not end; `None` where it has ended.
    fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut line = String::new();
        self.rest.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim_end(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        self.rest.read_exact(&mut chunk).ok()?;
        chunk.truncate(length);
        (length > 0).then_some(chunk)
    }

    /// The bytes of the body, as far as they have come, are added to `bytes`.
    fn more(&mut self, bytes: &mut Vec<u8>) -> bool {
        let chunk = self.chunk();
        bytes.extend(chunk.iter().flatten());
        chunk.is_some()
    }

    pub fn events(self) -> Events {
        assert_eq!(self.header("content-type"), "text/event-stream");
        Events {
            answer: self,
            bytes: Vec::new(),
        }
    }

    pub fn pictures(mut self) -> Pictures {
        assert_eq!(
            self.header("content-type"),
            "multipart/x-mixed-replace; boundary=picture"
        );
        let mut bytes = Vec::new();
        while bytes.len() < HEAD.len() {
            assert!(self.more(&mut bytes), "no boundary");
        }
        assert!(bytes.starts_with(HEAD));
        bytes.drain(..HEAD.len());
        Pictures { answer: self, bytes }
    }
}

/// Server-sent events.
pub struct Events {
    answer: Answer,
    bytes: Vec<u8>,
}

impl Events {
    /// The next event and its data; `None` where the stream has ended.
    pub fn next(&mut self) -> Option<(String, String)> {
        loop {
            let end = self.bytes.windows(2).position(|pair| pair == b"\n\n");
            let Some(end) = end else {
                if !self.answer.more(&mut self.bytes) {
                    return None;
                }
                continue;
            };
            let block = String::from_utf8(self.bytes.drain(..end + 2).collect()).unwrap();
            let field = |name: &str| {
                block
                    .lines()
                    .find_map(|line| line.strip_prefix(name).map(str::to_owned))
            };
            if let Some(event) = field("event: ") {
                return Some((event, field("data: ").unwrap()));
            }
        }
    }

    /// Data of the next event of this name.
    pub fn next_of(&mut self, name: &str) -> String {
        loop {
            let (event, data) = self.next().unwrap_or_else(|| panic!("no {name} comes any more"));
            if event == name {
                return data;
            }
        }
    }
}

/// Pictures that replace each other.
pub struct Pictures {
    answer: Answer,
    bytes: Vec<u8>,
}

impl Pictures {
    /// The next one. The head of another stands behind it, which browsers wait for.
    pub fn next(&mut self) -> Vec<u8> {
        let tail = [b"\r\n", HEAD].concat();
        let mut from = 0;
        loop {
            let end = self.bytes[from..]
                .windows(tail.len())
                .position(|window| window == tail);
            if let Some(end) = end {
                let picture = self.bytes[..from + end].to_vec();
                self.bytes.drain(..from + end + tail.len());
                return picture;
            }
            from = self.bytes.len().saturating_sub(tail.len());
            assert!(self.answer.more(&mut self.bytes), "no picture comes any more");
        }
    }
}
