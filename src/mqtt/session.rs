//! Connections to the broker, one after another.
//!
//! Each connection is a session of its own, with a client of its own: what was sent over it and not acknowledged comes back
//! into our queue. The library would send it again only to a broker that has kept the session, which one that was restarted
//! often has not.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use rumqttc::{AsyncClient, ClientError, ConnectionError, Event, Outgoing, Packet, QoS};
use tokio::time::sleep;

use super::queue::{Line, Queue};
use super::settings::{Broker, OFFLINE, ONLINE};

/// How long to wait before the second attempt, and at most before any.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long a publisher that stops may take to say goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// Requests that the client takes before the connection has written them.
const REQUESTS: usize = 8;

/// How a connection has ended.
enum End {
    /// As it was asked to.
    Stopped,
    Lost(String),
}

/// Publishes until the publisher is stopped.
pub async fn run(queue: &Queue, broker: &Broker) {
    let mut pause = FIRST_PAUSE;
    let mut is_away = false;
    while !queue.is_stopping() {
        let mut was_connected = false;
        let end = tokio::select! {
            end = connection(queue, broker, &mut was_connected) => end,
            () = stopped_for(queue, GOODBYE) => End::Stopped,
        };
        let End::Lost(why) = end else {
            break;
        };
        if was_connected {
            pause = FIRST_PAUSE;
            is_away = false;
        }
        queue.disconnected(&why, !is_away);
        is_away = true;
        tokio::select! {
            () = sleep(pause) => {}
            () = stopped_for(queue, Duration::ZERO) => {}
        }
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

/// Ends so long after the publisher is told to stop.
async fn stopped_for(queue: &Queue, time: Duration) {
    while !queue.is_stopping() {
        queue.stop.notified().await;
    }
    sleep(time).await;
}

async fn connection(queue: &Queue, broker: &Broker, was_connected: &mut bool) -> End {
    let (client, mut events) = AsyncClient::new(broker.options.clone(), REQUESTS);
    match events.poll().await {
        Ok(Event::Incoming(Packet::ConnAck(_))) => {}
        Ok(other) => return End::Lost(format!("it answers with {other:?}")),
        Err(error) => return End::Lost(in_words(&error)),
    }
    *was_connected = true;
    queue.connected();
    let book = Book::new(queue, broker.qos);
    let sending = async {
        // It fails when the connection has ended, which the other side says, and says why.
        let _ = send(queue, broker, &client, &book).await;
        std::future::pending().await
    };
    let receiving = async {
        loop {
            match events.poll().await {
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return End::Stopped,
                Ok(event) => book.note(&event),
                Err(error) => return End::Lost(in_words(&error)),
            }
        }
    };
    tokio::select! {
        end = receiving => end,
        end = sending => end,
    }
}

/// Hands lines to the client until the publisher stops.
async fn send(
    queue: &Queue,
    broker: &Broker,
    client: &AsyncClient,
    book: &Book<'_>,
) -> Result<(), ClientError> {
    let say = async |what: &'static str| match &broker.status_topic {
        None => Ok(()),
        Some(topic) => {
            book.hand(None);
            let payload = Bytes::from_static(what.as_bytes());
            client.publish_bytes(topic, QoS::AtLeastOnce, true, payload).await
        }
    };
    say(ONLINE).await?;
    loop {
        match queue.next() {
            Some(line) => {
                let (topic, payload) = (line.topic.clone(), line.payload.clone());
                book.hand(Some(line));
                client
                    .publish_bytes(topic, broker.qos, broker.retain, payload)
                    .await?;
            }
            None if queue.is_stopping() => break,
            None => queue.wake.notified().await,
        }
    }
    say(OFFLINE).await?;
    client.disconnect().await
}

/// Which message is which: the library tells of packets by number.
struct Book<'q> {
    queue: &'q Queue,
    qos: QoS,
    pages: RefCell<Pages>,
}

/// Messages; `None` is one that is no line.
#[derive(Default)]
struct Pages {
    /// Handed to the client, and not written to the connection yet.
    handed: VecDeque<Option<Line>>,
    /// Written, by the number of their packet.
    written: HashMap<u16, Option<Line>>,
}

impl<'q> Book<'q> {
    fn new(queue: &'q Queue, qos: QoS) -> Self {
        Self {
            queue,
            qos,
            pages: RefCell::default(),
        }
    }

    fn hand(&self, message: Option<Line>) {
        self.pages.borrow_mut().handed.push_back(message);
    }

    fn note(&self, event: &Event) {
        match event {
            // Messages are written in the order in which they were handed over.
            Event::Outgoing(Outgoing::Publish(packet)) => {
                let mut pages = self.pages.borrow_mut();
                let Some(message) = pages.handed.pop_front() else {
                    return;
                };
                if message.is_some() && self.qos == QoS::AtMostOnce {
                    self.queue.arrived();
                } else {
                    pages.written.insert(*packet, message);
                }
            }
            Event::Incoming(Packet::PubAck(ack)) => self.acknowledge(ack.pkid),
            Event::Incoming(Packet::PubComp(ack)) => self.acknowledge(ack.pkid),
            _ => {}
        }
    }

    fn acknowledge(&self, packet: u16) {
        if let Some(Some(_)) = self.pages.borrow_mut().written.remove(&packet) {
            self.queue.arrived();
        }
    }
}

impl Drop for Book<'_> {
    /// What was not acknowledged goes back to where it came from.
    fn drop(&mut self) {
        let pages = std::mem::take(self.pages.get_mut());
        let mut lines: Vec<Line> = pages
            .handed
            .into_iter()
            .chain(pages.written.into_values())
            .flatten()
            .collect();
        lines.sort_unstable_by_key(|line| line.number);
        self.queue.take_back(lines.into_iter());
    }
}

fn in_words(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(code) => {
            format!("it refuses the connection ({code:?}): look at user, password and client-id")
        }
        ConnectionError::NetworkTimeout => "it does not answer".to_owned(),
        other => other.to_string(),
    }
}
