//! Medians over the rounds.

use anyhow::Result;
use img2pose::Face;
use serde::{Serialize, Serializer};

use crate::Arguments;
use crate::deviation::{self, Deviation};
use crate::frames::Clip;
use crate::machine::{self, Machine};
use crate::place::Place;
use crate::roofline::Roofline;
use crate::runners::{Run, Stages};

/// Everything that was measured.
#[derive(Serialize)]
pub struct Report {
    pub machine: Machine,
    pub model: String,
    pub frames: String,
    pub frame_count: usize,
    pub network_image: String,
    pub roofline: Roofline,
    pub rounds: u32,
    pub threads: usize,
    /// Largest share of the machine that other processes used while a batch size was measured.
    pub others_share: f64,
    /// Where the model as a whole did not run in plain ONNX Runtime, and why.
    pub without_onnxruntime: Vec<String>,
    pub subjects: Vec<Measured>,
    /// Most memory that this process held, all subjects loaded.
    pub peak_memory_mib: Option<u64>,
}

/// What was measured, see `Subject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    OnnxRuntime,
    Detector,
    Pipeline,
}

/// One subject at one batch size.
#[derive(Serialize)]
pub struct Measured {
    #[serde(serialize_with = "as_text")]
    pub provider: Place,
    pub subject: Kind,
    pub batch_size: usize,
    /// One entry a round.
    pub milliseconds_per_frame: Vec<f64>,
    pub median_milliseconds_per_frame: f64,
    pub frames_per_second: f64,
    /// Median over the rounds of the time of plain ONNX Runtime over this one's, same provider and batch size.
    pub times_onnxruntime: Option<f64>,
    /// The same over the detector's time.
    pub times_detector: Option<f64>,
    pub face_count: Option<usize>,
    /// Medians, milliseconds a frame.
    pub stages: Option<StageMedians>,
    /// How far the faces are from those of the first provider.
    pub deviation: Option<Deviation>,
    /// Peak memory of a process that does nothing else.
    pub peak_memory_mib: Option<u64>,
    pub faces: Option<Vec<Vec<FoundFace>>>,
    #[serde(skip)]
    stage_rounds: Vec<[f64; 7]>,
}

/// Time in each stage, in milliseconds a frame.
#[derive(Clone, Copy, Serialize)]
pub struct StageMedians {
    pub convert: f64,
    pub dense: f64,
    pub proposals: f64,
    pub roi_align: f64,
    pub class_head: f64,
    pub pose_head: f64,
    pub pose: f64,
}

/// A face, under the names of the JSON lines.
#[derive(Serialize)]
pub struct FoundFace {
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
    pub confidence: f32,
    pub pose: [f32; 6],
}

impl From<Face> for FoundFace {
    fn from(face: Face) -> Self {
        Self {
            bbox: face.bbox,
            confidence: face.confidence,
            pose: face.pose,
        }
    }
}

impl Kind {
    /// As the command line calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "onnxruntime",
            Self::Detector => "detector",
            Self::Pipeline => "pipeline",
        }
    }
}

impl Report {
    pub fn new(arguments: &Arguments, clip: &Clip) -> Result<Self> {
        let info = &clip.info;
        let model = img2pose::Model::open(&arguments.model)?;
        let images = model.facts().images();
        let size = img2pose::frame::NetworkSize::of_layout(
            &clip.layout()?,
            arguments.min_size.unwrap_or(images.min_size),
            arguments.max_size.unwrap_or(images.max_size),
            images.size_divisor,
        );
        Ok(Self {
            machine: Machine::read()?,
            model: format!("{} ({})", arguments.model.display(), model.facts().architecture()),
            frames: format!(
                "{}, {}x{} {}",
                clip.source,
                info.width(),
                info.height(),
                info.format()
            ),
            frame_count: clip.len(),
            network_image: format!("{}x{}", size.padded_width, size.padded_height),
            roofline: Roofline::measure(
                &arguments.model,
                size.padded_height.into(),
                size.padded_width.into(),
                match arguments.threads {
                    0 => std::thread::available_parallelism()?.get(),
                    threads => threads,
                },
            )?,
            rounds: arguments.rounds,
            threads: arguments.threads,
            others_share: 0.0,
            without_onnxruntime: Vec::new(),
            subjects: Vec::new(),
            peak_memory_mib: None,
        })
    }

    /// Takes `made`, or notes why plain ONNX Runtime cannot run the model at `place`. On the CPU that is an error.
    pub fn attempt<T>(&mut self, place: Place, made: Result<T>) -> Result<Option<T>> {
        match made {
            Err(error) if place.provider != img2pose::ExecutionProvider::Cpu => {
                self.without_onnxruntime.push(format!("{place}: {error:#}"));
                Ok(None)
            }
            made => made.map(Some),
        }
    }

    /// Notes how much of the machine others used.
    pub fn note_load(&mut self, share: f64) {
        self.others_share = self.others_share.max(share);
    }

    /// Adds one round.
    pub fn add(&mut self, provider: Place, subject: Kind, batch_size: usize, run: Run) {
        let frames = self.frame_count as f64;
        let same = |m: &Measured| (m.provider, m.subject, m.batch_size) == (provider, subject, batch_size);
        let index = self.subjects.iter().position(same).unwrap_or_else(|| {
            self.subjects.push(Measured {
                provider,
                subject,
                batch_size,
                milliseconds_per_frame: Vec::new(),
                median_milliseconds_per_frame: f64::NAN,
                frames_per_second: f64::NAN,
                times_onnxruntime: None,
                times_detector: None,
                face_count: None,
                stages: None,
                deviation: None,
                peak_memory_mib: None,
                faces: None,
                stage_rounds: Vec::new(),
            });
            self.subjects.len() - 1
        });
        let measured = &mut self.subjects[index];
        measured
            .milliseconds_per_frame
            .push(run.elapsed.as_secs_f64() * 1000.0 / frames);
        if let Some(stages) = run.stages {
            measured.stage_rounds.push(milliseconds(&stages, frames));
        }
        if let Some(faces) = run.faces {
            measured.face_count = Some(faces.iter().map(Vec::len).sum());
            let found = faces
                .into_iter()
                .map(|frame| frame.into_iter().map(FoundFace::from).collect());
            measured.faces = Some(found.collect());
        }
    }

    /// Computes medians and ratios.
    pub fn finish(&mut self) {
        let rounds: Vec<_> = self
            .subjects
            .iter()
            .map(|m| {
                (
                    m.provider,
                    m.subject,
                    m.batch_size,
                    m.milliseconds_per_frame.clone(),
                )
            })
            .collect();
        for measured in &mut self.subjects {
            measured.median_milliseconds_per_frame = median(&measured.milliseconds_per_frame);
            measured.frames_per_second = 1000.0 / measured.median_milliseconds_per_frame;
            let times = |base: Kind| {
                let base = rounds.iter().find(|(provider, subject, batch_size, _)| {
                    (*provider, *subject, *batch_size) == (measured.provider, base, measured.batch_size)
                })?;
                // Round by round: what slowed one down slowed the other down too.
                let pairs = base.3.iter().zip(&measured.milliseconds_per_frame);
                Some(median(&pairs.map(|(base, own)| base / own).collect::<Vec<_>>()))
            };
            measured.times_onnxruntime = times(Kind::OnnxRuntime);
            measured.times_detector = times(Kind::Detector);
            if !measured.stage_rounds.is_empty() {
                let stage =
                    |i: usize| median(&measured.stage_rounds.iter().map(|r| r[i]).collect::<Vec<_>>());
                measured.stages = Some(StageMedians {
                    convert: stage(0),
                    dense: stage(1),
                    proposals: stage(2),
                    roi_align: stage(3),
                    class_head: stage(4),
                    pose_head: stage(5),
                    pose: stage(6),
                });
            }
        }
        self.compare_faces();
        self.peak_memory_mib = machine::peak_memory_mib();
    }

    /// Compares the faces of every provider after the first with the first one's.
    fn compare_faces(&mut self) {
        for index in 0..self.subjects.len() {
            let measured = &self.subjects[index];
            let base = self
                .subjects
                .iter()
                .find(|m| m.subject == measured.subject && m.batch_size == measured.batch_size);
            let deviation = match (
                base.filter(|base| base.provider != measured.provider),
                &measured.faces,
            ) {
                (Some(base), Some(found)) => base
                    .faces
                    .as_ref()
                    .map(|expected| deviation::compare(expected, found)),
                _ => None,
            };
            self.subjects[index].deviation = deviation;
        }
    }
}

fn milliseconds(stages: &Stages, frames: f64) -> [f64; 7] {
    let detect = &stages.detect;
    [
        stages.convert,
        detect.dense,
        detect.proposals,
        detect.roi_align,
        detect.class_head,
        detect.pose_head,
        detect.faces,
    ]
    .map(|stage| stage.as_secs_f64() * 1000.0 / frames)
}

fn as_text<S: Serializer>(place: &Place, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(place)
}

/// The middle value, or the mean of the middle two.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    } else {
        sorted[middle]
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 100.0]), 3.5);
        assert_eq!(median(&[4.0, 1.0, 3.0]), 3.0);
    }
}
