//! Two networks at one worker: two batches run at one time.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::tests::{Bytes, PuppetHandle, TIME_LIMIT, confidence, face, submit, waking_client};
use super::*;

/// How the run of a batch ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum End {
    Success,
    Failure,
    Panic,
}

/// The runs that may end: the first byte of the batch, and how.
type Gates = Arc<Mutex<HashSet<(u8, End)>>>;

/// A network whose runs end when the test opens the gate of their batch.
struct Gated {
    handle: Arc<PuppetHandle>,
    gates: Gates,
    begun: Sender<u8>,
    selected: Arc<Mutex<Vec<f32>>>,
}

impl Network for Gated {
    type Batch = Bytes;
    type Handle = Arc<PuppetHandle>;

    fn handle(&self) -> Self::Handle {
        self.handle.clone()
    }

    fn run(&mut self, batch: &Bytes) -> Result<Vec<Vec<Face>>, Failure> {
        let batch = batch.lock().unwrap().clone();
        let is_open = |end| self.gates.lock().unwrap().contains(&(batch[0], end));
        self.begun.send(batch[0]).unwrap();
        loop {
            if is_open(End::Success) {
                return Ok(batch.iter().map(|&byte| vec![face(byte)]).collect());
            }
            if is_open(End::Failure) {
                return Err(Failure::Failed("as ordered".to_owned()));
            }
            if is_open(End::Panic) {
                panic!("as ordered");
            }
            if self.handle.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn select(&mut self, selection: Selection) -> Result<(), String> {
        self.selected.lock().unwrap().push(selection.score_threshold);
        Ok(())
    }
}

struct Stage {
    worker: Arc<Worker<Gated>>,
    gates: Gates,
    begun: Receiver<u8>,
    selected: Vec<Arc<Mutex<Vec<f32>>>>,
    woken: Receiver<()>,
    wakes: Sender<()>,
}

impl Stage {
    /// Two networks, batches of up to `size` frames.
    fn new(size: usize) -> Self {
        let gates = Gates::default();
        let (begun_tx, begun) = channel();
        let (wakes, woken) = channel();
        let networks: Vec<Gated> = (0..2)
            .map(|_| Gated {
                handle: Arc::default(),
                gates: gates.clone(),
                begun: begun_tx.clone(),
                selected: Arc::default(),
            })
            .collect();
        let selected = networks.iter().map(|network| network.selected.clone()).collect();
        Self {
            worker: Worker::start(networks, size).unwrap(),
            gates,
            begun,
            selected,
            woken,
            wakes,
        }
    }

    fn client(&self) -> Client<Gated> {
        waking_client(&self.worker, &self.wakes)
    }

    /// The first bytes of the next batches that begin, sorted: two threads begin them.
    fn begun(&self, batches: usize) -> Vec<u8> {
        let next = |_| self.begun.recv_timeout(TIME_LIMIT).expect("a batch begins");
        let mut begun: Vec<u8> = (0..batches).map(next).collect();
        begun.sort_unstable();
        begun
    }

    fn nothing_begins(&self) {
        assert!(self.begun.recv_timeout(Duration::from_millis(30)).is_err());
    }

    /// Ends the run of the batch with that first byte, and waits until its client knows.
    fn end(&self, byte: u8, end: End) {
        self.gates.lock().unwrap().insert((byte, end));
        self.woken.recv_timeout(TIME_LIMIT).expect("the client is woken");
    }
}

fn pair(client: &Client<Gated>, bytes: [u8; 2]) -> [Submitted<Bytes>; 2] {
    bytes.map(|byte| submit(client, 1, byte))
}

fn confidences(frames: &[Submitted<Bytes>]) -> Vec<f32> {
    frames.iter().map(confidence).collect()
}

#[test]
fn two_batches_run_at_one_time_and_the_third_waits() {
    let stage = Stage::new(2);
    let client = stage.client();
    let first = pair(&client, [1, 2]);
    let second = pair(&client, [3, 4]);
    assert_eq!(stage.begun(2), [1, 3]);
    let third = pair(&client, [5, 6]);
    stage.nothing_begins();
    // The later one ends first.
    stage.end(3, End::Success);
    assert!(!first[0].ticket.is_finished());
    assert_eq!(confidences(&second), [3.0, 4.0]);
    assert_eq!(stage.begun(1), [5]);
    stage.end(5, End::Success);
    stage.end(1, End::Success);
    assert_eq!(confidences(&third), [5.0, 6.0]);
    assert_eq!(confidences(&first), [1.0, 2.0]);
}

#[test]
fn an_eager_client_waits_until_the_whole_model_is_free() {
    let stage = Stage::new(4);
    let (busy, eager) = (stage.client(), stage.client());
    eager.set_eager(Some(Duration::ZERO));
    let both = [1, 2].map(|byte| {
        let frame = submit(&busy, u32::from(byte), byte);
        busy.close();
        frame
    });
    assert_eq!(stage.begun(2), [1, 2]);
    let frames = [3, 4].map(|byte| submit(&eager, 9, byte));
    stage.end(1, End::Success);
    // One network is free, but a small batch now would take the place of a full one soon.
    stage.nothing_begins();
    stage.end(2, End::Success);
    assert_eq!(stage.begun(1), [3]);
    stage.end(3, End::Success);
    assert_eq!(confidences(&frames), [3.0, 4.0]);
    assert_eq!(confidences(&both), [1.0, 2.0]);
}

/// It used to stand still for as long as others kept one of the networks busy.
#[test]
fn a_batch_that_does_not_fill_runs_beside_one_that_does_not_end() {
    let stage = Stage::new(4);
    let (busy, pausing) = (stage.client(), stage.client());
    pausing.set_eager(Some(Duration::from_millis(10)));
    let _running = submit(&busy, 1, 1);
    busy.close();
    assert_eq!(stage.begun(1), [1]);
    let frame = submit(&pausing, 9, 2);
    assert_eq!(stage.begun(1), [2]);
    stage.end(2, End::Success);
    assert_eq!(confidence(&frame), 2.0);
}

#[test]
fn giving_up_stops_only_the_run_that_nobody_waits_for() {
    let stage = Stage::new(1);
    let (gone, staying) = (stage.client(), stage.client());
    let abandoned = submit(&gone, 1, 1);
    let wanted = submit(&staying, 1, 2);
    assert_eq!(stage.begun(2), [1, 2]);
    gone.abandon();
    let later = submit(&staying, 1, 3);
    // The seat of the first is free again.
    assert_eq!(stage.begun(1), [3]);
    assert_eq!(abandoned.ticket.take().unwrap().unwrap_err(), Failure::Cancelled);
    assert!(!wanted.ticket.is_finished());
    stage.end(2, End::Success);
    stage.end(3, End::Success);
    assert_eq!((confidence(&wanted), confidence(&later)), (2.0, 3.0));
}

#[test]
fn a_run_that_fails_or_panics_does_not_touch_the_other() {
    let stage = Stage::new(1);
    let client = stage.client();
    for (bad, good, end) in [(1, 2, End::Failure), (3, 4, End::Panic)] {
        let frames = [bad, good].map(|byte| submit(&client, 1, byte));
        assert_eq!(stage.begun(2), [bad, good]);
        stage.end(bad, end);
        assert!(matches!(frames[0].ticket.take(), Some(Err(Failure::Failed(_)))));
        assert!(!frames[1].ticket.is_finished());
        stage.end(good, End::Success);
        assert_eq!(confidence(&frames[1]), f32::from(good));
    }
}

#[test]
fn both_networks_take_over_a_selection_once() {
    let stage = Stage::new(1);
    let client = stage.client();
    stage
        .worker
        .select(Selection::default().with_score_threshold(0.25));
    for round in 0..3 {
        let bytes = [2 * round + 1, 2 * round + 2];
        let _frames = bytes.map(|byte| submit(&client, 1, byte));
        assert_eq!(stage.begun(2), bytes);
        for byte in bytes {
            stage.end(byte, End::Success);
        }
    }
    for selected in &stage.selected {
        assert_eq!(*selected.lock().unwrap(), [0.25]);
    }
}

#[test]
fn dropping_the_worker_stops_both_runs() {
    let stage = Stage::new(1);
    let client = stage.client();
    let frames = [1, 2].map(|byte| submit(&client, 1, byte));
    assert_eq!(stage.begun(2), [1, 2]);
    let Stage { worker, .. } = stage;
    drop(worker);
    // Joins both threads, whose gates never open.
    drop(client);
    for frame in &frames {
        assert_eq!(frame.ticket.take().unwrap().unwrap_err(), Failure::Cancelled);
    }
}
