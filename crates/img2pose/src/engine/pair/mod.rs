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
use crate::frame::{Crop, Cropper, FrameLayout};
use crate::model::{Model, PairParts};
use crate::options::Selection;
use crate::pair::{CropPlan, Fitter, Place, Places, Sight, Square, mirror, second_square};
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
    fitter: Fitter,
    work: Work,
}

/// Memory that is used again for every batch.
#[derive(Default)]
struct Work {
    choice: Places,
    places: Vec<Place>,
    looks: Vec<Look>,
    sights: Vec<(usize, Sight)>,
    crops: Vec<f32>,
    answers: Vec<f32>,
    /// One for each thread.
    croppers: Vec<Mutex<Cropper>>,
    /// A batch with blank frames behind its own.
    padded: Vec<f32>,
}

/// A square that is looked at.
struct Look {
    /// Its frame in the batch.
    frame: usize,
    /// Of a first look: its place among those of the frame. Of a second one: the number of the sight that it makes better.
    rank: usize,
    square: Square,
    /// The finder's score.
    found: f32,
    plan: CropPlan,
}

/// What is seen at a first look for a score of at least this share of the threshold is looked at again.
const HOPE: f32 = 0.5;

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
            fitter: Fitter::new(model.pair_contract()?),
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
            fitter,
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
                    square: place.square,
                    found: place.found,
                    plan: CropPlan::new(&place.square, layout, contract),
                }));
            }
            clock.lap(&mut times.proposals);
        })?;
        found.iter_mut().for_each(Vec::clear);
        let threshold = selection.score_threshold;
        let hope = threshold * if contract.second_look.is_some() { HOPE } else { 1.0 };
        let mut run = Run {
            setting,
            contract,
            batch: &batch,
            part: look,
            clock,
            times,
        };
        work.sights.clear();
        work.look(&mut run, Crops::Straight, |look, answers, sights| {
            let &[answer] = answers else { return };
            let sight = Sight {
                rank: look.rank,
                square: look.square,
                found: look.found,
                answer,
            };
            if sight.score() >= hope {
                sights.push((look.frame, sight));
            }
        })?;
        if let Some(second) = contract.second_look {
            work.plan_again(layout, fitter, contract);
            let crops = if second.mirrored {
                Crops::Mirrored
            } else {
                Crops::Straight
            };
            work.look(&mut run, crops, |look, answers, sights| {
                let (_, sight) = &mut sights[look.rank];
                *sight = sight.looked_at_again(look.square, answers);
            })?;
        }
        for &(frame, sight) in &work.sights {
            if sight.score() >= threshold {
                found[frame].push(sight);
            }
        }
        Ok(())
    }
}

/// Which crops of a square are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Crops {
    Straight,
    /// The mirror image behind each.
    Mirrored,
}

impl Crops {
    /// How many a square has.
    fn each(self) -> usize {
        match self {
            Self::Straight => 1,
            Self::Mirrored => 2,
        }
    }
}

/// What looking at the squares of a batch needs.
struct Run<'r, 'b> {
    setting: &'r Setting,
    contract: &'r PairContract,
    batch: &'r Input<'b>,
    part: &'r mut Part,
    clock: Clock,
    times: &'r mut StageTimes,
}

impl Work {
    /// Looks at all `looks`; `done` is given each with what is answered to its crops, and the sights.
    fn look(
        &mut self,
        run: &mut Run<'_, '_>,
        crops: Crops,
        mut done: impl FnMut(&Look, &[[f32; ANSWER]], &mut Vec<(usize, Sight)>),
    ) -> Result<(), Error> {
        let each = crops.each();
        let most = MOST_CROPS / each;
        for first in (0..self.looks.len()).step_by(most) {
            let last = (first + most).min(self.looks.len());
            self.cut(run, crops, first..last)?;
            run.clock.lap(&mut run.times.roi_align);
            self.answers.clear();
            let side = run.contract.crop_side as usize;
            let shape = [rows(run.setting.shapes, each * (last - first)), 3, side, side];
            run.part.run_rows(&self.crops, shape, ANSWER, &mut self.answers)?;
            let answers = self.answers.as_chunks::<ANSWER>().0.chunks_exact(each);
            for (look, answers) in self.looks[first..last].iter().zip(answers) {
                done(look, answers, &mut self.sights);
            }
            run.clock.lap(&mut run.times.pose_head);
        }
        Ok(())
    }

    /// Makes `looks` those at the faces that the sights show.
    fn plan_again(&mut self, layout: &FrameLayout, fitter: &Fitter, contract: &PairContract) {
        let Self { looks, sights, .. } = self;
        looks.clear();
        looks.extend(sights.iter().enumerate().filter_map(|(rank, (frame, sight))| {
            let square = second_square(sight, fitter, contract)?;
            Some(Look {
                frame: *frame,
                rank,
                plan: CropPlan::new(&square, layout, contract),
                square,
                found: sight.found,
            })
        }));
    }

    /// Cuts the crops of the looks in `range` out of their frames, side by side; blank ones make up the number of the run.
    fn cut(&mut self, run: &Run<'_, '_>, kind: Crops, range: std::ops::Range<usize>) -> Result<(), Error> {
        let Run {
            setting,
            contract,
            batch,
            ..
        } = run;
        let side = contract.crop_side as usize;
        let len = 3 * side * side;
        let wanted = kind.each() * range.len();
        resize(&mut self.crops, rows(setting.shapes, wanted) * len, CROPS)?;
        let (crops, blank) = self.crops.split_at_mut(wanted * len);
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
            let crops = crops.par_chunks_exact_mut(kind.each() * len);
            crops.zip(looks).try_for_each(|(crops, look)| {
                let (straight, mirrored) = crops.split_at_mut(len);
                cut(look, straight)?;
                if kind == Crops::Mirrored {
                    mirror(straight, side, mirrored);
                }
                Ok(())
            })
        })
    }
}
