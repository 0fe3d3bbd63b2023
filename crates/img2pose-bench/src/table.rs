//! The report as text.

use std::fmt;

use crate::deviation::Spread;
use crate::machine::Machine;
use crate::report::{Measured, Report};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine {
            processor,
            cores,
            load_before,
            system,
            gstreamer,
            onnxruntime,
            version,
        } = &self.machine;
        writeln!(
            f,
            "machine   {processor}, {cores} cores, {system}; load {load_before} before"
        )?;
        writeln!(
            f,
            "software  img2pose-bench {version}, {gstreamer}, {onnxruntime}"
        )?;
        writeln!(f, "model     {}", self.model)?;
        writeln!(
            f,
            "frames    {} of {}; network image {}",
            self.frame_count, self.frames, self.network_image
        )?;
        writeln!(
            f,
            "rounds    {}, in turns, medians below; threads {} (0: one for each core); other processes took at most \
             {:.0} % of the machine",
            self.rounds,
            self.threads,
            self.others_share * 100.0
        )?;
        writeln!(
            f,
            "limit     {:.1} GFLOP of convolutions a frame, {:.0} GFLOP/s on these threads in f32: {:.1} ms a frame",
            self.roofline.gflop_per_frame,
            self.roofline.gflop_per_second,
            self.roofline.least_milliseconds()
        )?;
        for reason in &self.without_onnxruntime {
            writeln!(f, "note      the model as a whole does not run at {reason}")?;
        }
        self.speed(f)?;
        self.stages(f)?;
        self.deviations(f)?;
        if let Some(mib) = self.peak_memory_mib {
            writeln!(f, "\npeak memory of this process, everything loaded: {mib} MiB")?;
        }
        Ok(())
    }
}

impl Report {
    fn speed(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{:<14} {:>5} {:<12} {:>9} {:>9} {:>19} {:>14} {:>11} {:>6} {:>9}",
            "provider",
            "batch",
            "subject",
            "ms/frame",
            "frames/s",
            "fastest..slowest",
            "x onnxruntime",
            "x detector",
            "faces",
            "peak MiB"
        )?;
        for m in &self.subjects {
            let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
            let count = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
            writeln!(
                f,
                "{:<14} {:>5} {:<12} {:>9.2} {:>9.2} {:>19} {:>14} {:>11} {:>6} {:>9}",
                m.provider,
                m.batch_size,
                m.subject.name(),
                m.median_milliseconds_per_frame,
                m.frames_per_second,
                range(m),
                number(m.times_onnxruntime),
                number(m.times_detector),
                count(m.face_count.map(|faces| faces as u64)),
                count(m.peak_memory_mib)
            )?;
        }
        Ok(())
    }

    fn stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.subjects.iter().all(|m| m.stages.is_none()) {
            return Ok(());
        }
        writeln!(
            f,
            "\n{:<14} {:>5} {:>9} {:>9} {:>10} {:>9} {:>11} {:>10} {:>6}   detector, ms/frame",
            "provider",
            "batch",
            "convert",
            "dense",
            "proposals",
            "RoIAlign",
            "class head",
            "pose head",
            "pose"
        )?;
        for m in &self.subjects {
            let Some(s) = m.stages else { continue };
            writeln!(
                f,
                "{:<14} {:>5} {:>9.2} {:>9.2} {:>10.2} {:>9.2} {:>11.2} {:>10.2} {:>6.2}",
                m.provider,
                m.batch_size,
                s.convert,
                s.dense,
                s.proposals,
                s.roi_align,
                s.class_head,
                s.pose_head,
                s.pose
            )?;
        }
        Ok(())
    }
}

impl Report {
    fn deviations(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.subjects.first().map(|m| m.provider.to_string());
        let compared: Vec<_> = self
            .subjects
            .iter()
            .filter_map(|m| Some((m, m.deviation.as_ref()?)))
            .collect();
        if compared.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n{:<14} {:>5} {:<12} {:>13} {:>6}   against {}: median / 95 % / largest of",
            "provider",
            "batch",
            "subject",
            "faces matched",
            "extra",
            first.unwrap_or_default()
        )?;
        for (m, d) in compared {
            let spread = |s: &Spread| format!("{:.2} / {:.2} / {:.2}", s.median, s.p95, s.max);
            let small = |s: &Spread| format!("{:.4} / {:.4} / {:.4}", s.median, s.p95, s.max);
            writeln!(
                f,
                "{:<14} {:>5} {:<12} {:>13} {:>6}   box {} px, confidence {}, angle {} degrees, translation {}",
                m.provider,
                m.batch_size,
                m.subject.name(),
                format!("{} of {}", d.matched, d.expected),
                d.extra,
                spread(&d.bbox),
                small(&d.confidence),
                spread(&d.angle),
                small(&d.translation)
            )?;
        }
        Ok(())
    }
}

fn range(measured: &Measured) -> String {
    let rounds = measured.milliseconds_per_frame.iter().copied();
    format!(
        "{:.2}..{:.2}",
        rounds.clone().fold(f64::INFINITY, f64::min),
        rounds.fold(0.0, f64::max)
    )
}
