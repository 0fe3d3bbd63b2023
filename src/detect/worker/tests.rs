use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use img2pose::frame::{ColorMatrix, ColorRange, PixelFormat, Plane, View};

use img2pose::frame::Frame;

use super::*;
use crate::detect::probe::{self, Measured};

pub(super) const TIME_LIMIT: Duration = Duration::from_secs(20);

/// What a run does when it is let go.
#[derive(Clone, Copy)]
enum Order {
    Succeed,
    Fail,
    Panic,
}

/// The bytes of a batch; 0 in slots that hold none.
pub(super) type Bytes = Arc<Mutex<Vec<u8>>>;

/// A frame whose byte is this is converted when another one of the kind is.
const MEETS: u8 = 255;
/// The conversion of a frame whose byte is this panics.
const PANICS: u8 = 254;

/// A network that waits for orders and finds one face in each frame, of the confidence in its first byte.
struct Puppet {
    handle: Arc<PuppetHandle>,
    orders: Receiver<Order>,
    begun: Sender<Vec<u8>>,
    selected: Arc<Mutex<Vec<f32>>>,
}

#[derive(Default)]
pub(super) struct PuppetHandle {
    cancelled: Mutex<bool>,
    made: AtomicUsize,
}

impl Network for Puppet {
    type Batch = Bytes;
    type Handle = Arc<PuppetHandle>;

    fn handle(&self) -> Self::Handle {
        self.handle.clone()
    }

    fn run(&mut self, batch: &Bytes) -> Result<Vec<Vec<Face>>, Failure> {
        let batch = batch.lock().unwrap().clone();
        self.begun.send(batch.clone()).unwrap();
        loop {
            match self.orders.recv_timeout(Duration::from_millis(2)) {
                Ok(Order::Succeed) => break,
                Ok(Order::Fail) => return Err(Failure::Failed("as ordered".to_owned())),
                Ok(Order::Panic) => panic!("as ordered"),
                Err(_) if self.handle.is_cancelled() => return Err(Failure::Cancelled),
                Err(_) => {}
            }
        }
        Ok(batch.iter().map(|&byte| vec![face(byte)]).collect())
    }

    fn select(&mut self, selection: Selection) -> Result<(), String> {
        self.selected.lock().unwrap().push(selection.score_threshold);
        Ok(())
    }
}

impl PuppetHandle {
    pub(super) fn is_cancelled(&self) -> bool {
        *self.cancelled.lock().unwrap()
    }
}

impl NetworkHandle for Arc<PuppetHandle> {
    type Batch = Bytes;
    type Slot = (Bytes, usize);
    type Stream = ();

    fn new_batch(&self, layout: FrameLayout, capacity: usize) -> Result<Bytes, String> {
        if layout.width == 666 {
            return Err("no such batch".to_owned());
        }
        self.made.fetch_add(1, Ordering::SeqCst);
        Ok(Arc::new(Mutex::new(Vec::with_capacity(capacity))))
    }

    fn reserve(batch: &mut Bytes) -> Result<(usize, Self::Slot), String> {
        let mut bytes = batch.lock().unwrap();
        let index = bytes.len();
        if index == bytes.capacity() {
            return Err("the batch is full".to_owned());
        }
        bytes.push(0);
        Ok((index, (batch.clone(), index)))
    }

    fn convert((batch, index): Self::Slot, frame: &Frame<'_>, _: &Arc<()>) -> Result<(), String> {
        let byte = *frame.planes[0].data.first().ok_or("no pixels")?;
        if byte == MEETS {
            meet()?;
        }
        assert!(byte != PANICS, "as ordered");
        batch.lock().unwrap()[index] = byte;
        Ok(())
    }

    fn push_from(batch: &mut Bytes, from: &Bytes, slot: usize) -> Result<usize, String> {
        let byte = from.lock().unwrap()[slot];
        let mut bytes = batch.lock().unwrap();
        bytes.push(byte);
        Ok(bytes.len() - 1)
    }

    fn clear(batch: &mut Bytes) {
        batch.lock().unwrap().clear();
    }

    fn cancel(&self) {
        *self.cancelled.lock().unwrap() = true;
    }

    fn reset(&self) {
        *self.cancelled.lock().unwrap() = false;
    }
}

/// Returns when two conversions are under way at one time.
fn meet() -> Result<(), String> {
    static MEETING: LazyLock<(Mutex<usize>, Condvar)> = LazyLock::new(Default::default);
    let (count, changed) = &*MEETING;
    let mut here = count.lock().unwrap();
    *here += 1;
    changed.notify_all();
    let (_here, timeout) = changed
        .wait_timeout_while(here, TIME_LIMIT, |here| *here < 2)
        .unwrap();
    if timeout.timed_out() {
        return Err("nobody else is converted".to_owned());
    }
    Ok(())
}

pub(super) fn face(byte: u8) -> Face {
    Face {
        bbox: [0.0; 4],
        confidence: f32::from(byte),
        pose: [0.0; 6],
        keypoints: [[0.0; 2]; 5],
        sigma: None,
    }
}

struct Stage {
    worker: Arc<Worker<Puppet>>,
    orders: Sender<Order>,
    begun: Receiver<Vec<u8>>,
    handle: Arc<PuppetHandle>,
    selected: Arc<Mutex<Vec<f32>>>,
    wakes: Sender<()>,
    woken: Receiver<()>,
}

impl Stage {
    fn new(size: usize) -> Self {
        let (orders, orders_rx) = channel();
        let (begun_tx, begun) = channel();
        let (wakes, woken) = channel();
        let handle = Arc::new(PuppetHandle::default());
        let selected = Arc::new(Mutex::default());
        let puppet = Puppet {
            handle: handle.clone(),
            orders: orders_rx,
            begun: begun_tx,
            selected: selected.clone(),
        };
        Self {
            worker: Worker::start(vec![puppet], size).unwrap(),
            orders,
            begun,
            handle,
            selected,
            wakes,
            woken,
        }
    }

    fn client(&self) -> Client<Puppet> {
        waking_client(&self.worker, &self.wakes)
    }

    fn begun(&self) -> Vec<u8> {
        self.begun.recv_timeout(TIME_LIMIT).expect("a batch runs")
    }

    fn nothing_begins(&self) {
        assert!(self.begun.recv_timeout(Duration::from_millis(30)).is_err());
    }

    fn succeed(&self) {
        self.orders.send(Order::Succeed).unwrap();
        self.woken.recv_timeout(TIME_LIMIT).expect("the client is woken");
    }
}

/// A client that sends to `wakes` when it is woken.
pub(super) fn waking_client<N: Network>(worker: &Arc<Worker<N>>, wakes: &Sender<()>) -> Client<N> {
    let wakes = Mutex::new(wakes.clone());
    worker.client(Arc::new(move || {
        // Nobody may listen any more.
        let _ = wakes.lock().unwrap().send(());
    }))
}

pub(super) fn submit<N: Network<Batch = Bytes>>(
    client: &Client<N>,
    width: u32,
    byte: u8,
) -> Submitted<Bytes> {
    let layout = FrameLayout {
        format: PixelFormat::Gray8,
        width,
        height: 1,
        matrix: ColorMatrix::Bt601,
        range: ColorRange::Full,
        view: View::PLAIN,
    };
    let data = [byte];
    let plane = Plane {
        data: if byte == 0 { &[] } else { &data },
        stride: 1,
    };
    let frame = Frame {
        layout,
        planes: [plane; 3],
    };
    client.submit(&frame, &Arc::default()).unwrap()
}

pub(super) fn confidence(submitted: &Submitted<Bytes>) -> f32 {
    let (faces, _) = submitted.ticket.take().expect("finished").expect("successful");
    faces[0].confidence
}

#[test]
fn a_full_batch_runs_and_each_frame_gets_its_own_faces() {
    let stage = Stage::new(3);
    let client = stage.client();
    let frames: Vec<_> = [7, 8, 9].map(|byte| submit(&client, 1, byte)).into();
    assert_eq!(
        frames
            .iter()
            .map(|frame| (frame.first_of_client, frame.full))
            .collect::<Vec<_>>(),
        [(true, false), (false, false), (false, true)]
    );
    assert_eq!(stage.begun(), [7, 8, 9]);
    assert!(!frames[0].ticket.is_finished());
    assert!(frames[0].ticket.take().is_none());
    stage.succeed();
    assert_eq!(frames.iter().map(confidence).collect::<Vec<_>>(), [7.0, 8.0, 9.0]);
}

#[test]
fn a_batch_fills_while_another_runs() {
    let stage = Stage::new(2);
    let client = stage.client();
    let _first = [1, 2].map(|byte| submit(&client, 1, byte));
    assert_eq!(stage.begun(), [1, 2]);
    let second = [3, 4].map(|byte| submit(&client, 1, byte));
    stage.nothing_begins();
    stage.succeed();
    assert_eq!(stage.begun(), [3, 4]);
    stage.succeed();
    assert_eq!(confidence(&second[1]), 4.0);
}

#[test]
fn a_partial_batch_runs_when_it_is_closed() {
    let stage = Stage::new(4);
    let client = stage.client();
    let frame = submit(&client, 1, 5);
    stage.nothing_begins();
    client.close();
    assert_eq!(stage.begun(), [5]);
    stage.succeed();
    assert_eq!(confidence(&frame), 5.0);
}

#[test]
fn a_timer_closes_only_its_batch_and_does_not_keep_the_worker() {
    let stage = Stage::new(4);
    let client = stage.client();
    let close_old = client.closer(submit(&client, 1, 5).ticket.batch());
    client.close();
    stage.begun();
    stage.succeed();
    let close_new = client.closer(submit(&client, 1, 6).ticket.batch());
    close_old();
    stage.nothing_begins();
    close_new();
    assert_eq!(stage.begun(), [6]);
    stage.succeed();
    let shared = Arc::downgrade(&stage.worker.shared);
    drop((client, stage));
    close_new();
    assert!(shared.upgrade().is_none());
}

#[test]
fn an_eager_client_gets_what_is_there() {
    let stage = Stage::new(4);
    let client = stage.client();
    client.set_eager(Some(Duration::ZERO));
    submit(&client, 1, 1);
    assert_eq!(stage.begun(), [1]);
    let frames = [2, 3].map(|byte| submit(&client, 1, byte));
    stage.succeed();
    assert_eq!(stage.begun(), [2, 3]);
    stage.succeed();
    assert_eq!(confidence(&frames[1]), 3.0);
}

#[test]
fn a_partial_batch_runs_when_nothing_has_come() {
    let stage = Stage::new(4);
    let client = stage.client();
    let patience = Duration::from_millis(30);
    client.set_eager(Some(patience));
    let began = Instant::now();
    let frame = submit(&client, 1, 5);
    assert_eq!(stage.begun(), [5]);
    assert!(began.elapsed() >= patience);
    stage.succeed();
    let (_, run) = frame.ticket.take().unwrap().unwrap();
    assert_eq!((run.frames, run.cause), (1, Cause::Quiet));
}

#[test]
fn a_batch_that_need_not_wait_for_more_runs_at_once() {
    let stage = Stage::new(4);
    let client = stage.client();
    client.set_eager(Some(TIME_LIMIT * 10));
    let batch = submit(&client, 1, 5).ticket.batch();
    stage.nothing_begins();
    client.hurry(batch);
    assert_eq!(stage.begun(), [5]);
    stage.succeed();
}

#[test]
fn frames_of_two_clients_are_converted_side_by_side() {
    let stage = Stage::new(2);
    let clients = [stage.client(), stage.client()];
    // Each conversion ends when the other one has begun.
    let frames = std::thread::scope(|scope| {
        let threads = clients
            .each_ref()
            .map(|client| scope.spawn(|| submit(client, 1, MEETS)));
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(stage.begun(), [MEETS; 2]);
    stage.succeed();
    for frame in &frames {
        let (faces, run) = frame.ticket.take().unwrap().unwrap();
        assert_eq!((faces[0].confidence, run.frames), (f32::from(MEETS), 2));
    }
}

#[test]
fn a_frame_that_cannot_be_converted_spares_its_neighbours() {
    let stage = Stage::new(3);
    let client = stage.client();
    let good = submit(&client, 1, 1);
    let layout = FrameLayout {
        format: PixelFormat::Gray8,
        width: 1,
        height: 1,
        matrix: ColorMatrix::Bt601,
        range: ColorRange::Full,
        view: View::PLAIN,
    };
    let plane = Plane { data: &[], stride: 1 };
    let bad = client.submit(
        &Frame {
            layout,
            planes: [plane; 3],
        },
        &Arc::default(),
    );
    assert_eq!(bad.err().as_deref(), Some("no pixels"));
    let last = submit(&client, 1, 3);
    // Its place stays empty, and the batch is full without it.
    assert!(last.full);
    assert_eq!(stage.begun(), [1, 0, 3]);
    stage.succeed();
    assert_eq!(confidence(&good), 1.0);
    let (faces, run) = last.ticket.take().unwrap().unwrap();
    assert_eq!((faces[0].confidence, run.frames), (3.0, 2));
}

/// The batch used to wait for that frame for ever, and with it every client that shares the worker.
#[test]
fn a_panic_while_a_frame_is_converted_spares_its_neighbours() {
    let stage = Stage::new(3);
    let (neighbour, other) = (stage.client(), stage.client());
    let good = submit(&neighbour, 1, 1);
    assert!(catch_unwind(AssertUnwindSafe(|| submit(&other, 1, PANICS))).is_err());
    neighbour.close();
    assert_eq!(stage.begun(), [1, 0]);
    stage.succeed();
    assert_eq!(confidence(&good), 1.0);
}

#[test]
fn a_batch_that_cannot_be_made_is_an_error_of_the_frame() {
    let stage = Stage::new(1);
    let client = stage.client();
    let layout = FrameLayout {
        format: PixelFormat::Gray8,
        width: 666,
        height: 1,
        matrix: ColorMatrix::Bt601,
        range: ColorRange::Full,
        view: View::PLAIN,
    };
    let plane = Plane {
        data: &[1],
        stride: 1,
    };
    let frame = Frame {
        layout,
        planes: [plane; 3],
    };
    assert_eq!(
        client.submit(&frame, &Arc::default()).err().as_deref(),
        Some("no such batch")
    );
    submit(&client, 1, 1);
    assert_eq!(stage.begun(), [1]);
    stage.succeed();
}

#[test]
fn giving_up_stops_the_run_and_the_next_one_is_whole() {
    let stage = Stage::new(1);
    let client = stage.client();
    let old = submit(&client, 1, 1);
    stage.begun();
    let waiting = submit(&client, 1, 2);
    client.abandon();
    let new = submit(&client, 1, 3);
    // Neither the rest of the stopped run nor the batch that waited behind it comes first.
    assert_eq!(stage.begun(), [3]);
    stage.succeed();
    assert_eq!(confidence(&new), 3.0);
    assert_eq!(old.ticket.take(), Some(Err(Failure::Cancelled)));
    assert_eq!(waiting.ticket.take(), None);
}

#[test]
fn giving_up_does_not_disturb_others_in_the_batch() {
    let stage = Stage::new(2);
    let (first, second) = (stage.client(), stage.client());
    submit(&first, 1, 1);
    let kept = submit(&second, 1, 2);
    assert_eq!(stage.begun(), [1, 2]);
    first.abandon();
    assert!(!*stage.handle.cancelled.lock().unwrap());
    drop(first);
    stage.succeed();
    assert_eq!(confidence(&kept), 2.0);
    // The client that gave up is not woken.
    assert!(stage.woken.try_recv().is_err());
}

#[test]
fn a_failure_reaches_every_frame_and_the_worker_goes_on() {
    let stage = Stage::new(2);
    let client = stage.client();
    for order in [Order::Fail, Order::Panic] {
        let frames = [1, 2].map(|byte| submit(&client, 1, byte));
        stage.begun();
        stage.orders.send(order).unwrap();
        assert_eq!(stage.begun(), [1], "the first one alone");
        stage.orders.send(order).unwrap();
        stage.woken.recv_timeout(TIME_LIMIT).unwrap();
        for frame in frames {
            assert!(matches!(frame.ticket.take(), Some(Err(Failure::Failed(_)))));
        }
    }
    let frames = [1, 2].map(|byte| submit(&client, 1, byte));
    stage.begun();
    stage.succeed();
    assert_eq!(confidence(&frames[0]), 1.0);
}

/// The whole batch used to lose its faces.
#[test]
fn frames_before_the_one_that_fails_keep_their_faces() {
    let stage = Stage::new(4);
    let client = stage.client();
    let frames = [1, 2, 3, 4].map(|byte| submit(&client, 1, byte));
    assert_eq!(stage.begun(), [1, 2, 3, 4]);
    stage.orders.send(Order::Fail).unwrap();
    for (byte, order) in [(1, Order::Succeed), (2, Order::Succeed), (3, Order::Fail)] {
        assert_eq!(stage.begun(), [byte]);
        stage.orders.send(order).unwrap();
    }
    stage.woken.recv_timeout(TIME_LIMIT).unwrap();
    assert_eq!((confidence(&frames[0]), confidence(&frames[1])), (1.0, 2.0));
    for frame in &frames[2..] {
        assert!(matches!(frame.ticket.take(), Some(Err(Failure::Failed(_)))));
    }
    // Nothing else was run, and the worker goes on.
    let next = submit(&client, 1, 5);
    client.close();
    assert_eq!(stage.begun(), [5]);
    stage.succeed();
    assert_eq!(confidence(&next), 5.0);
}

#[test]
fn a_failure_hits_only_the_client_whose_frames_fail() {
    let stage = Stage::new(3);
    let (good, bad) = (stage.client(), stage.client());
    let first = submit(&good, 1, 1);
    let poison = submit(&bad, 1, 2);
    let last = submit(&good, 1, 3);
    assert_eq!(stage.begun(), [1, 2, 3]);
    stage.orders.send(Order::Fail).unwrap();
    assert_eq!(stage.begun(), [1, 3]);
    stage.orders.send(Order::Succeed).unwrap();
    assert_eq!(stage.begun(), [2]);
    stage.orders.send(Order::Fail).unwrap();
    for _ in 0..2 {
        stage.woken.recv_timeout(TIME_LIMIT).unwrap();
    }
    assert_eq!((confidence(&first), confidence(&last)), (1.0, 3.0));
    assert!(matches!(poison.ticket.take(), Some(Err(Failure::Failed(_)))));
}

#[test]
fn a_new_selection_counts_from_the_next_batch_on() {
    let stage = Stage::new(1);
    let client = stage.client();
    submit(&client, 1, 1);
    stage.begun();
    let selection = Selection::default().with_score_threshold(0.25);
    client.worker().select(selection);
    submit(&client, 1, 2);
    assert!(stage.selected.lock().unwrap().is_empty());
    stage.succeed();
    stage.begun();
    assert_eq!(*stage.selected.lock().unwrap(), [0.25]);
    stage.succeed();
}

#[test]
fn memory_of_batches_is_used_again() {
    let stage = Stage::new(1);
    let client = stage.client();
    for byte in 1..20 {
        submit(&client, 1, byte);
        assert_eq!(stage.begun(), [byte]);
        stage.succeed();
    }
    assert_eq!(stage.handle.made.load(Ordering::SeqCst), 1);
    // Of layouts that are gone only a few are kept.
    for width in 2..20 {
        submit(&client, width, 1);
        stage.begun();
        stage.succeed();
    }
    assert_eq!(
        lock(&stage.worker.shared.state).free.len(),
        FREE_BATCHES_PER_CLIENT
    );
}

#[test]
fn the_time_that_a_batch_waits_for_others_is_told() {
    let stage = Stage::new(2);
    let (first, second) = (stage.client(), stage.client());
    let running = [1, 2].map(|byte| submit(&first, 1, byte));
    stage.begun();
    let waiting = submit(&second, 2, 3);
    second.close();
    let wait = Duration::from_millis(40);
    std::thread::sleep(wait);
    stage.succeed();
    stage.begun();
    stage.succeed();
    let run = |submitted: &Submitted<Bytes>| submitted.ticket.take().unwrap().unwrap().1;
    assert!(run(&waiting).waited >= wait);
    assert!(run(&running[0]).duration >= wait);
}

#[test]
fn dropping_the_worker_stops_a_run() {
    let stage = Stage::new(1);
    let client = stage.client();
    submit(&client, 1, 1);
    stage.begun();
    let Stage { worker, .. } = stage;
    drop(worker);
    // Joins the thread, which would wait for orders for ever.
    drop(client);
}

/// A live pipeline with such a model was promised no latency at all.
#[test]
fn a_blank_frame_that_takes_too_long_is_told_from_one_that_fails() {
    let run_time = |orders: &[Order], limit| {
        let stage = Stage::new(1);
        for order in orders {
            stage.orders.send(*order).unwrap();
        }
        probe::run_time(&stage.worker, probe::USUAL_LAYOUT, limit)
    };
    let (short, long) = (Duration::from_millis(50), TIME_LIMIT);
    assert_eq!(run_time(&[], short), Some(Measured::TooLong));
    assert_eq!(run_time(&[Order::Fail], long), None);
    let Some(Measured::Run(time)) = run_time(&[Order::Succeed, Order::Succeed], long) else {
        panic!("both succeed");
    };
    assert!(time < long, "{time:?}");
}
