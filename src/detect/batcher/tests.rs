use super::*;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

const A: ClientId = ClientId(0);
const B: ClientId = ClientId(1);

/// The time of the tests that do not care.
static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);

fn add(batcher: &mut Batcher<char>, client: ClientId, layout: char) -> Reservation {
    add_at(batcher, client, layout, *NOW)
}

fn add_at(batcher: &mut Batcher<char>, client: ClientId, layout: char, now: Instant) -> Reservation {
    let reservation = batcher.reserve(client, layout, now);
    assert!(!batcher.filled(reservation.batch, client, true, now));
    reservation
}

/// What an idle model runs now.
fn take(batcher: &mut Batcher<char>) -> Option<Due> {
    match batcher.take(true, *NOW) {
        Next::Run(due) => Some(due),
        Next::Wait(_) | Next::Nothing => None,
    }
}

#[test]
fn closes_when_full() {
    let mut batcher = Batcher::new(3);
    assert!(add(&mut batcher, A, 'x').opened);
    assert!(!add(&mut batcher, A, 'x').full);
    assert_eq!(take(&mut batcher), None);
    assert!(add(&mut batcher, A, 'x').full);
    let due = take(&mut batcher).unwrap();
    assert_eq!((due.frames, due.claims), (3, vec![(A, 3)]));
    assert!(add(&mut batcher, A, 'x').opened);
}

#[test]
fn batches_of_one_close_at_once() {
    let mut batcher = Batcher::new(1);
    assert!(add(&mut batcher, A, 'x').full);
    assert_eq!(take(&mut batcher).unwrap().frames, 1);
}

#[test]
fn layouts_are_never_mixed() {
    let mut batcher = Batcher::new(2);
    let x = add(&mut batcher, A, 'x').batch;
    let y = add(&mut batcher, B, 'y').batch;
    assert_ne!(x, y);
    assert_eq!(add(&mut batcher, B, 'x').batch, x);
    assert_eq!(take(&mut batcher).unwrap().claims, [(A, 1), (B, 1)]);
    assert_eq!(take(&mut batcher), None);
}

#[test]
fn a_client_closes_only_batches_with_its_frames() {
    let mut batcher = Batcher::new(4);
    add(&mut batcher, A, 'x');
    add(&mut batcher, B, 'y');
    batcher.close_client(B);
    assert_eq!(take(&mut batcher).unwrap().claims, [(B, 1)]);
    assert_eq!(take(&mut batcher), None);
}

#[test]
fn a_batch_waits_for_conversions() {
    let mut batcher = Batcher::new(2);
    add(&mut batcher, A, 'x');
    let slow = batcher.reserve(A, 'x', *NOW);
    assert!(slow.full);
    assert!(!batcher.is_ready(slow.batch));
    assert_eq!(take(&mut batcher), None);
    batcher.filled(slow.batch, A, true, *NOW);
    assert!(batcher.is_ready(slow.batch));
    assert_eq!(take(&mut batcher).unwrap().frames, 2);
}

#[test]
fn a_frame_that_cannot_be_converted_leaves_the_others() {
    let mut batcher = Batcher::new(2);
    add(&mut batcher, A, 'x');
    let bad = batcher.reserve(A, 'x', *NOW);
    assert!(!batcher.filled(bad.batch, A, false, *NOW));
    let due = take(&mut batcher).unwrap();
    assert_eq!((due.frames, due.claims), (1, vec![(A, 1)]));
}

#[test]
fn an_only_frame_that_cannot_be_converted_leaves_no_batch() {
    let mut batcher = Batcher::new(1);
    let bad = batcher.reserve(A, 'x', *NOW);
    assert!(batcher.filled(bad.batch, A, false, *NOW));
    assert_eq!(take(&mut batcher), None);
    assert_eq!(batcher.len(), 0);
}

#[test]
fn eager_clients_do_not_wait_for_a_full_batch() {
    let mut batcher = Batcher::new(4);
    add(&mut batcher, A, 'x');
    add(&mut batcher, B, 'y');
    batcher.set_eager(A, Some(Duration::ZERO));
    assert_eq!(take(&mut batcher).unwrap().claims, [(A, 1)]);
    assert_eq!(take(&mut batcher), None);
    batcher.set_eager(A, None);
    add(&mut batcher, A, 'x');
    assert_eq!(take(&mut batcher), None);
}

#[test]
fn abandoned_frames_run_nothing() {
    let mut batcher = Batcher::new(4);
    let gone = add(&mut batcher, A, 'x').batch;
    let shared = add(&mut batcher, A, 'y').batch;
    assert_eq!(add(&mut batcher, B, 'y').batch, shared);
    assert_eq!(batcher.abandon(A), [gone]);
    batcher.close_client(B);
    let due = take(&mut batcher).unwrap();
    // The abandoned frame still has its slot in the tensor.
    assert_eq!((due.batch, due.frames, due.claims), (shared, 2, vec![(B, 1)]));
    assert_eq!(batcher.len(), 0);
}

#[test]
fn one_batch_can_be_abandoned_until_it_runs() {
    let mut batcher = Batcher::new(1);
    let first = add(&mut batcher, A, 'x').batch;
    let second = add(&mut batcher, A, 'x').batch;
    let third = add(&mut batcher, A, 'x').batch;
    assert_eq!(take(&mut batcher).unwrap().batch, first);
    assert_eq!(batcher.abandon_batch(first, A), None);
    assert_eq!(batcher.abandon_batch(second, A), Some(true));
    assert_eq!(take(&mut batcher).unwrap().batch, third);

    let mut batcher = Batcher::new(2);
    let shared = add(&mut batcher, A, 'x').batch;
    add(&mut batcher, B, 'x');
    assert_eq!(batcher.abandon_batch(shared, A), Some(false));
    assert_eq!(take(&mut batcher).unwrap().claims, [(B, 1)]);
}

#[test]
fn a_batch_abandoned_in_mid_conversion_goes_with_the_conversion() {
    let mut batcher = Batcher::new(4);
    let old = batcher.reserve(A, 'x', *NOW);
    assert!(batcher.abandon(A).is_empty());
    // Frames of the next generation keep out of it.
    let new = add(&mut batcher, A, 'x');
    assert_ne!(new.batch, old.batch);
    assert!(batcher.filled(old.batch, A, true, *NOW));
    assert_eq!(batcher.len(), 1);
}

/// Time after the start of a test.
fn ms(milliseconds: u64) -> Instant {
    *NOW + Duration::from_millis(milliseconds)
}

const PATIENCE: Option<Duration> = Some(Duration::from_millis(100));

#[test]
fn an_open_batch_runs_when_nothing_has_come_for_a_while() {
    let mut batcher = Batcher::new(4);
    batcher.set_eager(A, PATIENCE);
    add_at(&mut batcher, A, 'x', ms(0));
    assert_eq!(batcher.take(true, ms(50)), Next::Wait(ms(100)));
    // Each frame begins the time anew.
    add_at(&mut batcher, A, 'x', ms(90));
    assert_eq!(batcher.take(true, ms(110)), Next::Wait(ms(190)));
    let Next::Run(due) = batcher.take(true, ms(190)) else {
        panic!("the time is over");
    };
    assert_eq!((due.frames, due.cause), (2, Cause::Quiet));
    assert_eq!(batcher.take(true, ms(1000)), Next::Nothing);
}

#[test]
fn a_batch_fills_on_while_the_model_is_busy_however_quiet_it_is() {
    let mut batcher = Batcher::new(2);
    batcher.set_eager(A, PATIENCE);
    let first = add_at(&mut batcher, A, 'x', ms(0));
    assert_eq!(batcher.take(false, ms(400)), Next::Wait(ms(600)));
    let second = add_at(&mut batcher, A, 'x', ms(500));
    assert!(second.full && first.batch == second.batch);
    let Next::Run(due) = batcher.take(false, ms(500)) else {
        panic!("it is full");
    };
    assert_eq!(due.cause, Cause::Closed);
}

/// It used to wait for ever when others kept one of two networks busy all the time.
#[test]
fn a_batch_does_not_wait_for_ever_for_the_whole_model() {
    for (patience, from, cause) in [(100, 600, Cause::Quiet), (0, 500, Cause::Eager)] {
        let mut batcher = Batcher::new(2);
        batcher.set_eager(A, Some(Duration::from_millis(patience)));
        add_at(&mut batcher, A, 'x', ms(0));
        // Others, whose batches are always ready.
        add_at(&mut batcher, B, 'y', ms(0));
        add_at(&mut batcher, B, 'y', ms(0));
        let causes: Vec<Cause> = [from - 1, from]
            .map(|time| match batcher.take(false, ms(time)) {
                Next::Run(due) => due.cause,
                other => panic!("{other:?}"),
            })
            .into();
        assert_eq!(causes, [Cause::Closed, cause]);
    }
}

#[test]
fn the_least_patient_client_decides_for_its_batches() {
    let mut batcher = Batcher::new(4);
    batcher.set_eager(A, PATIENCE);
    add_at(&mut batcher, A, 'x', ms(0));
    add_at(&mut batcher, B, 'x', ms(0));
    add_at(&mut batcher, B, 'y', ms(0));
    assert_eq!(batcher.take(true, ms(0)), Next::Wait(ms(100)));
    batcher.set_eager(B, Some(Duration::from_millis(30)));
    let batches: Vec<_> = (0..2)
        .map(|_| match batcher.take(true, ms(30)) {
            Next::Run(due) => due.claims,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(batches, [vec![(A, 1), (B, 1)], vec![(B, 1)]]);
}

#[test]
fn what_passes_by_shows_that_more_may_come() {
    let mut batcher = Batcher::new(4);
    batcher.set_eager(A, PATIENCE);
    let open = add_at(&mut batcher, A, 'x', ms(0)).batch;
    batcher.touch(open, ms(80));
    assert_eq!(batcher.take(true, ms(100)), Next::Wait(ms(180)));
}

#[test]
fn a_hurried_batch_waits_for_the_model_only_and_a_frame_calls_that_off() {
    let mut batcher = Batcher::new(4);
    batcher.set_eager(A, PATIENCE);
    let open = add_at(&mut batcher, A, 'x', ms(0)).batch;
    batcher.hurry(open);
    assert_eq!(batcher.take(false, ms(0)), Next::Wait(ms(500)));
    add_at(&mut batcher, A, 'x', ms(1));
    assert_eq!(batcher.take(true, ms(1)), Next::Wait(ms(101)));
    batcher.hurry(open);
    let Next::Run(due) = batcher.take(true, ms(1)) else {
        panic!("it is in a hurry");
    };
    assert_eq!((due.frames, due.cause), (2, Cause::Eager));
}

#[derive(Clone, Debug)]
enum Step {
    Place(u64, char),
    Filled { oldest: bool, ok: bool },
    CloseClient(u64),
    Eager(u64, Option<u64>),
    Hurry,
    Touch,
    Abandon(u64),
    Pass(u64),
    Take { idle: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..3u64;
    prop_oneof![
        6 => (client.clone(), prop_oneof![Just('x'), Just('y')]).prop_map(|(c, l)| Step::Place(c, l)),
        6 => (any::<bool>(), prop::bool::weighted(0.9)).prop_map(|(oldest, ok)| Step::Filled { oldest, ok }),
        1 => client.clone().prop_map(Step::CloseClient),
        1 => (client.clone(), prop::option::of(0..20u64)).prop_map(|(c, e)| Step::Eager(c, e)),
        1 => Just(Step::Hurry),
        1 => Just(Step::Touch),
        1 => client.prop_map(Step::Abandon),
        3 => prop_oneof![9 => 1..15u64, 1 => 400..600u64].prop_map(Step::Pass),
        3 => prop::bool::weighted(0.7).prop_map(|idle| Step::Take { idle }),
    ]
}

/// What must be true of every batch, kept the slow and obvious way.
#[derive(Default)]
struct Truth {
    /// Placed, not yet filled: batch, client.
    converting: Vec<(BatchId, ClientId)>,
    /// Frames in a tensor: batch -> (client, still wanted).
    tensors: HashMap<BatchId, Vec<(ClientId, bool)>>,
    layouts: HashMap<BatchId, char>,
    /// Frames that were ever placed, also those that could not be converted.
    places: HashMap<BatchId, usize>,
    closed: HashSet<BatchId>,
    /// When something came last, in milliseconds.
    touched: HashMap<BatchId, u64>,
    hurried: HashSet<BatchId>,
    eager: HashMap<ClientId, u64>,
    ran: Vec<BatchId>,
}

impl Truth {
    fn wanted(&self, batch: BatchId) -> Vec<ClientId> {
        let filled = self.tensors.get(&batch).into_iter().flatten();
        filled
            .filter(|(_, wanted)| *wanted)
            .map(|(client, _)| *client)
            .collect()
    }

    /// When the batch may run, and why: at or after that time. `None`: not as things are.
    fn may_run(&self, batch: BatchId, size: usize, idle: bool) -> Option<(u64, Cause)> {
        let wanted = self.wanted(batch);
        if wanted.is_empty() || self.converting.iter().any(|(other, _)| *other == batch) {
            return None;
        }
        if self.closed.contains(&batch) || self.places[&batch] == size {
            return Some((0, Cause::Closed));
        }
        let patience = *wanted.iter().filter_map(|client| self.eager.get(client)).min()?;
        let is_eager = patience == 0 || self.hurried.contains(&batch);
        let busy = if idle { 0 } else { 500 };
        let from = self.touched[&batch] + busy;
        Some(match is_eager {
            true => (from, Cause::Eager),
            false => (from + patience, Cause::Quiet),
        })
    }
}

proptest! {
    #[test]
    fn every_wanted_frame_runs_once_in_a_batch_of_its_layout_and_at_its_time(
        size in 1usize..5,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut batcher = Batcher::new(size);
        let mut truth = Truth::default();
        let mut time = 0;
        let mut last = None;
        let finish = (0..3).map(|client| Step::Eager(client, Some(5))).chain([Step::Pass(5)]);
        let drain = std::iter::repeat_n(Step::Filled { oldest: true, ok: true }, 200)
            .chain(finish)
            .chain(std::iter::repeat_n(Step::Take { idle: true }, 200));
        for step in steps.into_iter().chain(drain) {
            match step {
                Step::Place(client, layout) => {
                    let client = ClientId(client);
                    let reservation = batcher.reserve(client, layout, ms(time));
                    let known = *truth.layouts.entry(reservation.batch).or_insert(layout);
                    prop_assert_eq!(known, layout);
                    prop_assert!(!truth.ran.contains(&reservation.batch));
                    truth.converting.push((reservation.batch, client));
                    *truth.places.entry(reservation.batch).or_default() += 1;
                    truth.hurried.remove(&reservation.batch);
                    last = Some(reservation.batch);
                }
                Step::Filled { oldest, ok } if !truth.converting.is_empty() => {
                    let index = if oldest { 0 } else { truth.converting.len() - 1 };
                    let (batch, client) = truth.converting.remove(index);
                    batcher.filled(batch, client, ok, ms(time));
                    truth.touched.insert(batch, time);
                    if ok {
                        // Abandoned while it was converted: `u64::MAX` marks it below.
                        let wanted = client.0 != u64::MAX;
                        truth.tensors.entry(batch).or_default().push((client, wanted));
                    }
                }
                Step::Filled { .. } => {}
                Step::CloseClient(client) => {
                    let client = ClientId(client);
                    batcher.close_client(client);
                    let converting = truth.converting.iter().filter(|(_, owner)| *owner == client);
                    let mut closed: Vec<BatchId> = converting.map(|(batch, _)| *batch).collect();
                    let filled = truth.tensors.iter();
                    closed.extend(
                        filled.filter(|(_, frames)| frames.contains(&(client, true))).map(|(batch, _)| *batch),
                    );
                    truth.closed.extend(closed);
                }
                Step::Eager(client, after) => {
                    let client = ClientId(client);
                    batcher.set_eager(client, after.map(Duration::from_millis));
                    truth.eager.remove(&client);
                    truth.eager.extend(after.map(|after| (client, after)));
                }
                Step::Hurry => {
                    if let Some(last) = last {
                        batcher.hurry(last);
                        truth.hurried.insert(last);
                    }
                }
                Step::Touch => {
                    if let Some(last) = last {
                        batcher.touch(last, ms(time));
                        truth.touched.insert(last, time);
                    }
                }
                Step::Abandon(client) => {
                    batcher.abandon(ClientId(client));
                    for frames in truth.tensors.values_mut() {
                        for (owner, wanted) in frames.iter_mut() {
                            *wanted &= *owner != ClientId(client);
                        }
                    }
                    for (_, owner) in &mut truth.converting {
                        if *owner == ClientId(client) {
                            *owner = ClientId(u64::MAX);
                        }
                    }
                }
                Step::Pass(milliseconds) => time += milliseconds,
                Step::Take { idle } => {
                    let now = ms(time);
                    let turns = truth.tensors.keys().filter_map(|batch| truth.may_run(*batch, size, idle));
                    let first = turns.map(|(from, _)| from).min();
                    let due = match batcher.take(idle, now) {
                        Next::Run(due) => due,
                        Next::Wait(until) => {
                            prop_assert!(until > now);
                            prop_assert_eq!(first.map(ms), Some(until));
                            continue;
                        }
                        Next::Nothing => {
                            prop_assert_eq!(first, None);
                            continue;
                        }
                    };
                    let may = truth.may_run(due.batch, size, idle);
                    prop_assert!(may.is_some_and(|(from, cause)| from <= time && cause == due.cause), "{may:?} {due:?}");
                    let frames = truth.tensors.remove(&due.batch).unwrap_or_default();
                    prop_assert!(!truth.converting.iter().any(|(batch, _)| *batch == due.batch));
                    prop_assert_eq!(due.frames, frames.len());
                    prop_assert!((1..=size).contains(&due.frames));
                    for (client, count) in &due.claims {
                        let wanted = frames.iter().filter(|frame| **frame == (*client, true)).count();
                        prop_assert_eq!(wanted, *count);
                    }
                    let claimed: usize = due.claims.iter().map(|(_, count)| count).sum();
                    prop_assert_eq!(frames.iter().filter(|(_, wanted)| *wanted).count(), claimed);
                    prop_assert!(claimed > 0);
                    truth.ran.push(due.batch);
                }
            }
        }
        // Nothing that anybody wants is left behind.
        prop_assert_eq!(batcher.len(), 0);
        prop_assert!(truth.tensors.values().flatten().all(|(_, wanted)| !wanted));
    }
}
