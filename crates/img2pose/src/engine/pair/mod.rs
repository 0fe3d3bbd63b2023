//! The engine of two networks that find and look: the frames of a batch in one run of the finder, the crops of all of them in
//! one of the close look.

#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::part::Part;
use super::session::load_session;
use super::{Engine, Setting};
use crate::batch::Input;
use crate::contract::{ANSWER, CELL, PairContract};
use crate::error::{Error, resize};
use crate::finite::are_finite;
use crate::frame::{Crop, Cropper};
use crate::model::{Model, PairParts};
use crate::options::Selection;
use crate::pair::{CropPlan, Place, Places, Sight};
use crate::provider::Placement;
use crate::runtime::Runtime;
use crate::shapes::Shapes;
use crate::times::{Clock, StageTimes};

/// Crops in a run of the close look; a batch that has more of them takes more runs, so that memory is bounded.
const MOST_CROPS: usize = 64;

/// Two networks.
pub(crate) struct PairEngine {
    contract: PairContract,
    find: Part,
    look: Part,
    work: Work,
}

/// Memory that is used again for every batch.
#[derive(Default)]
struct Work {
    choice: Places,
    places: Vec<Place>,
    looks: Vec<Look>,
    crops: Vec<f32>,
    answers: Vec<f32>,
    /// One for each thread.
    croppers: Vec<Mutex<Cropper>>,
    /// A batch with blank frames behind its own.
    padded: Vec<f32>,
}

/// A place that is looked at.
struct Look {
    /// Its frame in the batch, and its place among those of the frame.
    frame: usize,
    rank: usize,
    place: Place,
    plan: CropPlan,
}

impl PairEngine {
    /// Loads the networks of `model`.
    ///
    /// # Errors
    /// What ONNX Runtime says of one of them; [`Error::Provider`] and [`Error::Precision`] for what they are not run on yet.
    pub fn load(
        model: &Model,
        parts: &PairParts,
        runtime: &Runtime,
        placement: Placement,
        setting: &Setting,
    ) -> Result<Self, Error> {
        let provider = placement.provider;
        // One builds engines for minutes for each number of crops, the other's sessions must not be at work side by side.
        if provider.builds_engines || placement.turns().is_some() {
            return Err(Error::Provider {
                provider: provider.name,
                reason:
                    "models that find and look are not run on it; set execution-provider to auto, cpu or cuda"
                        .to_owned(),
            });
        }
        if placement.needs_half_graph() {
            return Err(Error::Precision {
                path: model.path().to_owned(),
                precision: placement.precision.name(),
                reason: format!(
                    "models that find and look compute in what the file is in on {}; set precision to auto or fp32",
                    provider.name
                ),
            });
        }
        let part = |name, bytes: &[u8]| -> Result<Part, Error> {
            let session = load_session(model.path(), runtime, placement, None, name, bytes)?;
            Ok(Part::new(name, session, setting))
        };
        let croppers = std::iter::repeat_with(Mutex::default);
        Ok(Self {
            contract: model.pair_contract()?.clone(),
            find: part("finder", &parts.find)?,
            look: part("close look", &parts.look)?,
            work: Work {
                croppers: croppers.take(setting.pool.current_num_threads()).collect(),
                ..Work::default()
            },
        })
    }

    /// Runs both networks on the smallest input that there is, a blank one, which shows that they give what the contract says;
    /// then those numbers of crops that the provider is to know.
    pub fn warm_up(&mut self, setting: &Setting) -> Result<(), Error> {
        let side = self.contract.size_divisor as usize;
        if setting.shapes == Shapes::Free {
            let blank = vec![0.0; 3 * side * side];
            let cells = self.contract.cells([side; 2]);
            find(&mut self.find, &blank, [1, side, side], cells, |_| ())?;
        }
        let mut rows = 1;
        loop {
            self.look_at_blank(rows)?;
            rows *= 2;
            if setting.shapes == Shapes::Free || rows > MOST_CROPS {
                return Ok(());
            }
        }
    }

    fn look_at_blank(&mut self, rows: usize) -> Result<(), Error> {
        let side = self.contract.crop_side as usize;
        self.work.answers.clear();
        resize(&mut self.work.crops, rows * 3 * side * side, CROPS)?;
        let shape = [rows, 3, side, side];
        self.look
            .run_rows(&self.work.crops, shape, ANSWER, &mut self.work.answers)
    }
}

/// Runs the finder on images `[batch, 3, height, width]`; `done` is given what it says, `[batch, 7, cells]`.
fn find<R>(
    part: &mut Part,
    images: &[f32],
    [batch, height, width]: [usize; 3],
    cells: usize,
    done: impl FnOnce(&[f32]) -> R,
) -> Result<R, Error> {
    let origin = part.origin.clone();
    let outputs = part.run(images, [batch, 3, height, width])?;
    let (name, shape, data) = outputs.only()?;
    if *shape != [batch, CELL, cells].map(|side| side as i64) {
        return Err(origin.wrong_shape(name, shape, format!("[{batch}, {CELL}, {cells}]")));
    }
    if !are_finite(data) {
        return Err(origin.not_finite(name));
    }
    Ok(done(data))
}

/// What is missing where there is no memory for them.
const CROPS: &str = "the crops of the faces";

/// Crops in the run for `wanted` of them.
fn rows(shapes: Shapes, wanted: usize) -> usize {
    match shapes {
        Shapes::Free => wanted,
        Shapes::Few => wanted.next_power_of_two(),
    }
}

impl Engine for PairEngine {
    type Found = Sight;

    fn infer(
        &mut self,
        setting: &Setting,
        batch: Input<'_>,
        selection: &Selection,
        found: &mut [Vec<Sight>],
        times: &mut StageTimes,
    ) -> Result<(), Error> {
        let mut clock = Clock::start();
        let Some(layout) = batch.layout().filter(|_| batch.keeps_frames()) else {
            return Err(Error::Batch(
                "models that find and look take whole frames, in a batch that their detector's batch_maker has made".to_owned(),
            ));
        };
        let Self {
            contract,
            find: finder,
            look,
            work,
        } = self;
        let [height, width] = batch.padded();
        let frames = setting.shapes.frames(batch.len(), batch.capacity());
        let Work {
            choice,
            places,
            looks,
            padded,
            ..
        } = &mut *work;
        let images = batch.images_for(frames, padded)?;
        let cells = contract.cells([height, width]);
        // The score is the geometric mean of what both networks say, and no chance is above 1.
        let least = (selection.score_threshold * selection.score_threshold * 0.999).max(contract.score_floor);
        find(finder, images, [frames, height, width], cells, |cells| {
            clock.lap(&mut times.dense);
            looks.clear();
            for (frame, cells) in cells
                .chunks_exact(cells.len() / frames)
                .take(batch.len())
                .enumerate()
            {
                // One that could not be converted has no faces.
                if batch.frame(frame).is_none_or(|kept| kept.frame().is_none()) {
                    continue;
                }
                choice.choose(
                    cells,
                    batch.size(frame),
                    layout.square_size(),
                    contract,
                    least,
                    places,
                );
                looks.extend(places.iter().enumerate().map(|(rank, &place)| Look {
                    frame,
                    rank,
                    plan: CropPlan::new(&place.square, layout, contract),
                    place,
                }));
            }
            clock.lap(&mut times.proposals);
        })?;
        found.iter_mut().for_each(Vec::clear);
        for first in (0..work.looks.len()).step_by(MOST_CROPS) {
            let last = (first + MOST_CROPS).min(work.looks.len());
            work.cut(setting, contract, &batch, first..last)?;
            clock.lap(&mut times.roi_align);
            work.answers.clear();
            let side = contract.crop_side as usize;
            let shape = [rows(setting.shapes, last - first), 3, side, side];
            look.run_rows(&work.crops, shape, ANSWER, &mut work.answers)?;
            let answers = work.answers.as_chunks::<ANSWER>().0;
            for (look, &answer) in work.looks[first..last].iter().zip(answers) {
                let sight = Sight {
                    rank: look.rank,
                    square: look.place.square,
                    found: look.place.found,
                    answer,
                };
                if sight.score() >= selection.score_threshold {
                    found[look.frame].push(sight);
                }
            }
            clock.lap(&mut times.pose_head);
        }
        Ok(())
    }
}

impl Work {
    /// Cuts the crops of the looks in `range` out of their frames, side by side; blank ones make up the number of the run.
    fn cut(
        &mut self,
        setting: &Setting,
        contract: &PairContract,
        batch: &Input<'_>,
        range: std::ops::Range<usize>,
    ) -> Result<(), Error> {
        let side = contract.crop_side as usize;
        let len = 3 * side * side;
        resize(&mut self.crops, rows(setting.shapes, range.len()) * len, CROPS)?;
        let (crops, blank) = self.crops.split_at_mut(range.len() * len);
        blank.fill(0.0);
        let (looks, croppers) = (&self.looks[range], &self.croppers);
        let cut = |look: &Look, into: &mut [f32]| -> Result<(), Error> {
            let kept = batch.frame(look.frame);
            let Some(frame) = kept.as_ref().and_then(|kept| kept.frame()) else {
                into.fill(0.0);
                return Ok(());
            };
            let thread = rayon::current_thread_index().unwrap_or_default();
            let mut cropper = croppers[thread % croppers.len()]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let crop = Crop {
                side,
                to_frame: look.plan.to_frame,
                block: look.plan.block,
                mean: contract.image_mean,
                std: contract.image_std,
                into,
            };
            Ok(cropper.cut(&frame, crop)?)
        };
        setting.pool.install(|| {
            let crops = crops.par_chunks_exact_mut(len);
            crops.zip(looks).try_for_each(|(crop, look)| cut(look, crop))
        })
    }
}
