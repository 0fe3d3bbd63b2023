//! Medians over the rounds, and how they are shown.

use std::fmt;

use anyhow::Result;
use img2pose::Face;
use serde::Serialize;

use crate::Arguments;
use crate::frames::Clip;
use crate::machine::{self, Machine};
use crate::runners::{Run, Runner};

/// Everything that was measured.
#[derive(Serialize)]
pub struct Report {
    machine: Machine,
    model: String,
    frames: String,
    frame_count: usize,
    rounds: u32,
    threads: usize,
    subjects: Vec<Measured>,
    peak_memory_mib: Option<u64>,
}

/// One subject at one batch size.
#[derive(Serialize)]
struct Measured {
    subject: &'static str,
    batch_size: usize,
    /// One entry a round.
    milliseconds_per_frame: Vec<f64>,
    median_milliseconds_per_frame: f64,
    frames_per_second: f64,
    /// Frames per second over those of plain ONNX Runtime at the same batch size.
    times_onnxruntime: Option<f64>,
    face_count: Option<usize>,
    faces: Option<Vec<Vec<FoundFace>>>,
}

/// A face, under the names of the JSON lines.
#[derive(Serialize)]
struct FoundFace {
    r#box: [f32; 4],
    confidence: f32,
    pose: [f32; 6],
}

impl From<Face> for FoundFace {
    fn from(face: Face) -> Self {
        Self {
            r#box: face.bbox,
            confidence: face.confidence,
            pose: face.pose,
        }
    }
}

impl Report {
    pub fn new(arguments: &Arguments, clip: &Clip) -> Result<Self> {
        let info = &clip.info;
        Ok(Self {
            machine: Machine::read()?,
            model: arguments.model.display().to_string(),
            frames: format!(
                "{}, {}x{} {}",
                clip.source,
                info.width(),
                info.height(),
                info.format()
            ),
            frame_count: clip.len(),
            rounds: arguments.rounds,
            threads: arguments.threads,
            subjects: Vec::new(),
            peak_memory_mib: None,
        })
    }

    /// Adds one round of `runner`.
    pub fn add(&mut self, runner: &dyn Runner, run: Run) {
        let (subject, batch_size) = (runner.name(), runner.batch_size());
        let same = |m: &Measured| m.subject == subject && m.batch_size == batch_size;
        let index = self.subjects.iter().position(same).unwrap_or_else(|| {
            self.subjects.push(Measured {
                subject,
                batch_size,
                milliseconds_per_frame: Vec::new(),
                median_milliseconds_per_frame: f64::NAN,
                frames_per_second: f64::NAN,
                times_onnxruntime: None,
                face_count: None,
                faces: None,
            });
            self.subjects.len() - 1
        });
        let measured = &mut self.subjects[index];
        measured
            .milliseconds_per_frame
            .push(run.elapsed.as_secs_f64() * 1000.0 / self.frame_count as f64);
        if let Some(faces) = run.faces {
            measured.face_count = Some(faces.iter().map(Vec::len).sum());
            let found = faces
                .into_iter()
                .map(|frame| frame.into_iter().map(FoundFace::from).collect());
            measured.faces = Some(found.collect());
        }
    }

    /// Computes medians, ratios and the peak of memory.
    pub fn finish(&mut self) -> Result<()> {
        for measured in &mut self.subjects {
            measured.median_milliseconds_per_frame = median(&measured.milliseconds_per_frame);
            measured.frames_per_second = 1000.0 / measured.median_milliseconds_per_frame;
        }
        let plain: Vec<(usize, f64)> = self
            .subjects
            .iter()
            .filter(|m| m.subject == "onnxruntime")
            .map(|m| (m.batch_size, m.frames_per_second))
            .collect();
        for measured in &mut self.subjects {
            let base = plain
                .iter()
                .find(|(batch_size, _)| *batch_size == measured.batch_size);
            measured.times_onnxruntime = base.map(|(_, base)| measured.frames_per_second / base);
        }
        self.peak_memory_mib = machine::peak_memory_mib();
        Ok(())
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    } else {
        sorted[middle]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine {
            processor,
            cores,
            load_before,
            gstreamer,
            onnxruntime,
            version,
        } = &self.machine;
        writeln!(
            f,
            "machine   {processor}, {cores} cores, load {load_before} before"
        )?;
        writeln!(
            f,
            "software  img2pose-bench {version}, {gstreamer}, {onnxruntime}"
        )?;
        writeln!(f, "model     {}", self.model)?;
        writeln!(f, "frames    {} of {}", self.frame_count, self.frames)?;
        writeln!(
            f,
            "rounds    {}, medians below; threads {} (0: one for each core)\n",
            self.rounds, self.threads
        )?;
        writeln!(
            f,
            "{:<12} {:>5} {:>10} {:>9} {:>21} {:>16} {:>6}",
            "subject", "batch", "ms/frame", "frames/s", "fastest..slowest ms", "x onnxruntime", "faces"
        )?;
        for m in &self.subjects {
            let fold =
                |pick: fn(f64, f64) -> f64, start| m.milliseconds_per_frame.iter().copied().fold(start, pick);
            let range = format!("{:.2}..{:.2}", fold(f64::min, f64::INFINITY), fold(f64::max, 0.0));
            let ratio = m
                .times_onnxruntime
                .map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            let faces = m.face_count.map_or("-".to_owned(), |count| count.to_string());
            writeln!(
                f,
                "{:<12} {:>5} {:>10.2} {:>9.2} {:>21} {:>16} {:>6}",
                m.subject,
                m.batch_size,
                m.median_milliseconds_per_frame,
                m.frames_per_second,
                range,
                ratio,
                faces
            )?;
        }
        if let Some(mib) = self.peak_memory_mib {
            writeln!(f, "\npeak memory of the process, all subjects loaded: {mib} MiB")?;
        }
        Ok(())
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
