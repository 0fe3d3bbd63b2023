//! `img2posemqtt`, with brokers that do as they are told.

mod broker;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use gst::prelude::*;

use broker::{Broker, Message};

/// `appsrc ! img2posemqtt` on its way.
struct Line {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    sink: gst::Element,
    /// Texts of warnings and infos that came before the end of the stream.
    said: RefCell<Vec<String>>,
}

impl Line {
    fn play(port: u16, properties: &str) -> Self {
        let line = Self::new(&format!("uri=mqtt://127.0.0.1:{port} {properties}"));
        line.pipeline.set_state(gst::State::Playing).unwrap();
        line
    }

    fn new(properties: &str) -> Self {
        gst::init().unwrap();
        gstimg2pose::plugin_register_static().unwrap();
        let description =
            format!("appsrc name=source caps=application/x-ndjson ! img2posemqtt name=sink {properties}");
        let pipeline = gst::parse::launch(&description).unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        let source = pipeline.by_name("source").unwrap().downcast().unwrap();
        let sink = pipeline.by_name("sink").unwrap();
        Self {
            pipeline,
            source,
            sink,
            said: RefCell::default(),
        }
    }

    fn push(&self, text: &str) {
        let buffer = gst::Buffer::from_mut_slice(text.to_owned().into_bytes());
        self.source.push_buffer(buffer).unwrap();
    }

    fn push_numbers(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            self.push(&format!("{{\"pts\":{number}}}\n"));
        }
    }

    /// Ends the stream and waits until it has ended.
    fn end(&self) -> Duration {
        let began = Instant::now();
        self.source.end_of_stream().unwrap();
        let bus = self.pipeline.bus().unwrap();
        loop {
            let message = bus.timed_pop(gst::ClockTime::from_seconds(60)).unwrap();
            match message.view() {
                gst::MessageView::Eos(_) => break,
                gst::MessageView::Error(error) => panic!("{error:?}"),
                _ => self.said.borrow_mut().extend(text(&message)),
            }
        }
        began.elapsed()
    }

    fn stop(&self) -> Duration {
        let began = Instant::now();
        self.pipeline.set_state(gst::State::Null).unwrap();
        began.elapsed()
    }

    fn stat(&self, name: &str) -> u64 {
        self.sink.property::<gst::Structure>("stats").get(name).unwrap()
    }

    fn wait_for(&self, name: &str, value: u64) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.stat(name) != value {
            let stats = self.sink.property::<gst::Structure>("stats");
            assert!(Instant::now() < until, "{name} is not {value}: {stats}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The texts of warnings and infos so far.
    fn said(&self) -> Vec<String> {
        let bus = self.pipeline.bus().unwrap();
        let later = std::iter::from_fn(|| bus.pop()).filter_map(|message| text(&message));
        self.said.borrow_mut().drain(..).chain(later).collect()
    }
}

/// The text of a warning or an info.
fn text(message: &gst::Message) -> Option<String> {
    match message.view() {
        gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
        gst::MessageView::Info(info) => Some(info.error().to_string()),
        _ => None,
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn payloads(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.payload.as_str()).collect()
}

fn numbered(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{{\"pts\":{number}}}")).collect()
}

#[test]
fn lines_arrive_in_order_before_the_stream_ends() {
    for qos in 0..=2 {
        let broker = Broker::start();
        let line = Line::play(broker.port, &format!("qos={qos} topic=faces"));
        line.push_numbers(0..300);
        line.end();
        let messages = broker.wait(|messages| messages.len() >= 300);
        assert_eq!(payloads(&messages), numbered(0..300), "qos {qos}");
        assert!(
            messages
                .iter()
                .all(|message| message.topic == "faces" && !message.retain)
        );
        for (name, value) in [
            ("lines", 300),
            ("published", 300),
            ("dropped", 0),
            ("queued", 0),
            ("outages", 0),
        ] {
            assert_eq!(line.stat(name), value, "qos {qos}: {name}");
        }
        assert!(line.stop() < Duration::from_secs(1));
        assert!(broker.hears_goodbye(), "qos {qos}");
        assert_eq!(line.stat("published"), 300, "the counts stay");
        assert_eq!(line.said(), [""; 0]);
    }
}

#[test]
fn a_line_goes_to_the_topic_of_its_source_and_several_may_share_a_buffer() {
    let broker = Broker::start();
    let line = Line::play(broker.port, "topic=cameras/{source}/faces retain=true");
    line.push("{\"source\":\"gate/2\",\"pts\":1}\n\n{\"source\":\"hall\",\"pts\":2}\n{\"pts\":3}");
    line.end();
    let messages = broker.messages();
    let topics: Vec<_> = messages.iter().map(|message| message.topic.as_str()).collect();
    assert_eq!(
        topics,
        ["cameras/gate_2/faces", "cameras/hall/faces", "cameras/sink/faces"]
    );
    assert!(messages.iter().all(|message| message.retain));
    assert_eq!(messages[2].payload, "{\"pts\":3}");
}

#[test]
fn the_status_topic_says_who_is_there_and_the_broker_does_when_it_vanishes() {
    let broker = Broker::start();
    let line = Line::play(
        broker.port,
        "status-topic=status/{source} user=anna password=secret client-id=me topic=faces",
    );
    line.push_numbers(0..1);
    line.end();
    line.stop();
    let status = |payload: &str| Message {
        topic: "status/sink".to_owned(),
        payload: payload.to_owned(),
        retain: true,
        connection: 0,
    };
    let messages = broker.wait(|messages| messages.len() >= 3);
    assert_eq!(messages[0], status("online"));
    assert_eq!(messages[2], status("offline"));
    let connect = &broker.connects()[0];
    let will = connect.last_will.as_ref().unwrap();
    assert_eq!(
        (will.topic.as_str(), &will.message[..], will.retain),
        ("status/sink", &b"offline"[..], true)
    );
    let login = connect.login.as_ref().unwrap();
    assert_eq!(
        (connect.client_id.as_str(), login.username.as_str()),
        ("me", "anna")
    );
    assert_eq!(login.password, "secret");
    assert!(
        line.sink.find_property("password").unwrap().flags()
            == gst::glib::ParamFlags::WRITABLE | gst::PARAM_FLAG_MUTABLE_READY
    );
}

/// A broker that was restarted knows nothing of the session before.
#[test]
fn what_was_not_acknowledged_is_sent_again_in_order() {
    let broker = Broker::start();
    broker.acknowledge_only(10);
    let line = Line::play(broker.port, "topic=faces");
    line.push_numbers(0..100);
    line.wait_for("published", 10);
    broker.wait(|messages| messages.len() >= 20);
    broker.hang_up();
    line.push_numbers(100..120);
    line.end();
    let messages = broker.messages();
    let second: Vec<Message> = messages
        .into_iter()
        .filter(|message| message.connection == 1)
        .collect();
    assert_eq!(
        payloads(&second),
        numbered(10..120),
        "from the first that was not acknowledged on"
    );
    assert_eq!(
        (line.stat("published"), line.stat("dropped"), line.stat("outages")),
        (120, 0, 1)
    );
    let said = line.said();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("No connection") && said[1].contains("again"),
        "{said:?}"
    );
}

#[test]
fn a_broker_that_comes_late_gets_the_newest_lines() {
    let port = Broker::start().port;
    let line = Line::play(port, "topic=faces max-queued-lines=50");
    line.push_numbers(0..200);
    line.wait_for("lines", 200);
    assert_eq!((line.stat("dropped"), line.stat("queued")), (150, 50));
    let broker = Broker::start_on(port);
    line.end();
    assert_eq!(payloads(&broker.messages()), numbered(150..200));
    assert_eq!((line.stat("published"), line.stat("dropped")), (50, 150));
    let said = line.said();
    assert_eq!(
        said.iter().filter(|text| text.contains("No connection")).count(),
        1,
        "{said:?}"
    );
}

#[test]
fn without_a_broker_the_stream_ends_after_eos_timeout() {
    let port = Broker::start().port;
    let line = Line::play(port, "eos-timeout=300000000");
    line.push_numbers(0..5);
    let took = line.end();
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_secs(3),
        "{took:?}"
    );
    assert!(
        line.said()
            .iter()
            .any(|text| text.contains("5 lines have not arrived"))
    );
    assert!(line.stop() < Duration::from_secs(1));
    assert_eq!((line.stat("dropped"), line.stat("queued")), (5, 0));
}

/// Neither one that is not there, nor one that takes and says nothing, nor the wait at the end.
#[test]
fn no_broker_holds_up_a_state_change() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for port in [Broker::start().port, silent.local_addr().unwrap().port()] {
        let line = Line::play(port, "eos-timeout=60000000000");
        line.push_numbers(0..5);
        line.wait_for("lines", 5);
        line.source.end_of_stream().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let took = line.stop();
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_an_error_at_the_start() {
    for (properties, word) in [
        ("uri=broker", "mqtt://"),
        ("topic=a/#", "topic"),
        ("password=secret", "user"),
        ("uri=mqtts://localhost ca-file=/nowhere.pem", "/nowhere.pem"),
    ] {
        let line = Line::new(properties);
        assert!(
            line.pipeline.set_state(gst::State::Playing).is_err(),
            "{properties}"
        );
        let bus = line.pipeline.bus().unwrap();
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(5), &[gst::MessageType::Error]);
        let gst::MessageView::Error(error) = message.as_ref().unwrap().view() else {
            unreachable!("filtered")
        };
        let text = error.error().to_string();
        assert!(
            text.contains(word) && !text.contains("secret"),
            "{properties}: {text}"
        );
    }
}

/// A line that no broker would take is counted, and the others arrive.
#[test]
fn a_line_that_is_too_long_is_dropped() {
    let broker = Broker::start();
    let line = Line::play(broker.port, "topic=faces");
    line.push(&"x".repeat(17 << 20));
    line.push_numbers(0..1);
    line.end();
    assert_eq!(payloads(&broker.messages()), numbered(0..1));
    assert_eq!((line.stat("published"), line.stat("dropped")), (1, 1));
}
