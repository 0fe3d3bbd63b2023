use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const A: ClientId = ClientId(0);
const B: ClientId = ClientId(1);

fn add(batcher: &mut Batcher<char>, client: ClientId, layout: char) -> Placement {
    let placement = batcher.place(client, layout);
    assert!(!batcher.filled(placement.batch, client, true));
    placement
}

#[test]
fn closes_when_full() {
    let mut batcher = Batcher::new(3);
    assert!(add(&mut batcher, A, 'x').opened);
    assert!(!add(&mut batcher, A, 'x').full);
    assert_eq!(batcher.take(true), None);
    assert!(add(&mut batcher, A, 'x').full);
    let due = batcher.take(true).unwrap();
    assert_eq!((due.frames, due.claims), (3, vec![(A, 3)]));
    assert!(add(&mut batcher, A, 'x').opened);
}

#[test]
fn batches_of_one_close_at_once() {
    let mut batcher = Batcher::new(1);
    assert!(add(&mut batcher, A, 'x').full);
    assert_eq!(batcher.take(true).unwrap().frames, 1);
}

#[test]
fn layouts_are_never_mixed() {
    let mut batcher = Batcher::new(2);
    let x = add(&mut batcher, A, 'x').batch;
    let y = add(&mut batcher, B, 'y').batch;
    assert_ne!(x, y);
    assert_eq!(add(&mut batcher, B, 'x').batch, x);
    assert_eq!(batcher.take(true).unwrap().claims, [(A, 1), (B, 1)]);
    assert_eq!(batcher.take(true), None);
}

#[test]
fn a_client_closes_only_batches_with_its_frames() {
    let mut batcher = Batcher::new(4);
    add(&mut batcher, A, 'x');
    add(&mut batcher, B, 'y');
    batcher.close_client(B);
    assert_eq!(batcher.take(true).unwrap().claims, [(B, 1)]);
    assert_eq!(batcher.take(true), None);
}

#[test]
fn a_batch_waits_for_conversions() {
    let mut batcher = Batcher::new(2);
    add(&mut batcher, A, 'x');
    let slow = batcher.place(A, 'x');
    assert!(slow.full);
    assert!(!batcher.is_ready(slow.batch));
    assert_eq!(batcher.take(true), None);
    batcher.filled(slow.batch, A, true);
    assert!(batcher.is_ready(slow.batch));
    assert_eq!(batcher.take(true).unwrap().frames, 2);
}

#[test]
fn a_frame_that_cannot_be_converted_leaves_the_others() {
    let mut batcher = Batcher::new(2);
    add(&mut batcher, A, 'x');
    let bad = batcher.place(A, 'x');
    assert!(!batcher.filled(bad.batch, A, false));
    let due = batcher.take(true).unwrap();
    assert_eq!((due.frames, due.claims), (1, vec![(A, 1)]));
}

#[test]
fn an_only_frame_that_cannot_be_converted_leaves_no_batch() {
    let mut batcher = Batcher::new(1);
    let bad = batcher.place(A, 'x');
    assert!(batcher.filled(bad.batch, A, false));
    assert_eq!(batcher.take(true), None);
    assert_eq!(batcher.len(), 0);
}

#[test]
fn eager_clients_do_not_wait_for_a_full_batch() {
    let mut batcher = Batcher::new(4);
    add(&mut batcher, A, 'x');
    add(&mut batcher, B, 'y');
    batcher.set_eager(A, true);
    assert_eq!(batcher.take(true).unwrap().claims, [(A, 1)]);
    assert_eq!(batcher.take(true), None);
    batcher.set_eager(A, false);
    add(&mut batcher, A, 'x');
    assert_eq!(batcher.take(true), None);
}

#[test]
fn abandoned_frames_run_nothing() {
    let mut batcher = Batcher::new(4);
    let gone = add(&mut batcher, A, 'x').batch;
    let shared = add(&mut batcher, A, 'y').batch;
    assert_eq!(add(&mut batcher, B, 'y').batch, shared);
    assert_eq!(batcher.abandon(A), [gone]);
    batcher.close_client(B);
    let due = batcher.take(true).unwrap();
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
    assert_eq!(batcher.take(true).unwrap().batch, first);
    assert_eq!(batcher.abandon_batch(first, A), None);
    assert_eq!(batcher.abandon_batch(second, A), Some(true));
    assert_eq!(batcher.take(true).unwrap().batch, third);

    let mut batcher = Batcher::new(2);
    let shared = add(&mut batcher, A, 'x').batch;
    add(&mut batcher, B, 'x');
    assert_eq!(batcher.abandon_batch(shared, A), Some(false));
    assert_eq!(batcher.take(true).unwrap().claims, [(B, 1)]);
}

#[test]
fn a_batch_abandoned_in_mid_conversion_goes_with_the_conversion() {
    let mut batcher = Batcher::new(4);
    let old = batcher.place(A, 'x');
    assert!(batcher.abandon(A).is_empty());
    // Frames of the next generation keep out of it.
    let new = add(&mut batcher, A, 'x');
    assert_ne!(new.batch, old.batch);
    assert!(batcher.filled(old.batch, A, true));
    assert_eq!(batcher.len(), 1);
}

#[derive(Clone, Debug)]
enum Step {
    Place(u64, char),
    Filled { oldest: bool, ok: bool },
    CloseClient(u64),
    Eager(u64, bool),
    Abandon(u64),
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..3u64;
    prop_oneof![
        6 => (client.clone(), prop_oneof![Just('x'), Just('y')]).prop_map(|(c, l)| Step::Place(c, l)),
        6 => (any::<bool>(), prop::bool::weighted(0.9)).prop_map(|(oldest, ok)| Step::Filled { oldest, ok }),
        1 => client.clone().prop_map(Step::CloseClient),
        1 => (client.clone(), any::<bool>()).prop_map(|(c, e)| Step::Eager(c, e)),
        1 => client.prop_map(Step::Abandon),
        3 => Just(Step::Take),
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
    ran: Vec<BatchId>,
}

proptest! {
    #[test]
    fn every_wanted_frame_runs_once_in_a_batch_of_its_layout(
        size in 1usize..5,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut batcher = Batcher::new(size);
        let mut truth = Truth::default();
        let finish = (0..3).map(|client| Step::Eager(client, true)).chain([Step::Take]);
        let drain = std::iter::repeat_n(Step::Filled { oldest: true, ok: true }, 200)
            .chain(finish)
            .chain(std::iter::repeat_n(Step::Take, 200));
        for step in steps.into_iter().chain(drain) {
            match step {
                Step::Place(client, layout) => {
                    let client = ClientId(client);
                    let placement = batcher.place(client, layout);
                    let known = *truth.layouts.entry(placement.batch).or_insert(layout);
                    prop_assert_eq!(known, layout);
                    prop_assert!(!truth.ran.contains(&placement.batch));
                    truth.converting.push((placement.batch, client));
                }
                Step::Filled { oldest, ok } if !truth.converting.is_empty() => {
                    let index = if oldest { 0 } else { truth.converting.len() - 1 };
                    let (batch, client) = truth.converting.remove(index);
                    batcher.filled(batch, client, ok);
                    if ok {
                        // Abandoned while it was converted: `usize::MAX` marks it below.
                        let wanted = client.0 != u64::MAX;
                        truth.tensors.entry(batch).or_default().push((client, wanted));
                    }
                }
                Step::Filled { .. } => {}
                Step::CloseClient(client) => batcher.close_client(ClientId(client)),
                Step::Eager(client, eager) => batcher.set_eager(ClientId(client), eager),
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
                Step::Take => {
                    let Some(due) = batcher.take(true) else { continue };
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
