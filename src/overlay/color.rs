//! Colours.

/// A colour as 0xAARRGGBB, alpha not multiplied in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub u32);

/// Colours of tracks, one after the other: of like brightness, far apart from each other and from those of the axes.
const TRACK_COLORS: [u32; 10] = [
    0xffff_d633,
    0xff33_d6ff,
    0xffff_7f50,
    0xff9b_e564,
    0xffe0_7bff,
    0xff40_e0b0,
    0xffff_9ecb,
    0xffb8_a6ff,
    0xffd2_b48c,
    0xffe8_ff8a,
];

impl Color {
    /// The colour of the face with this id through time: the same in every frame, and another than that of the next ids.
    pub fn of_track(id: u64) -> Self {
        // Ids begin at 1.
        Self(TRACK_COLORS[(id.wrapping_sub(1) % TRACK_COLORS.len() as u64) as usize])
    }

    /// Blue, green, red, alpha: the order of the bytes in an overlay rectangle.
    fn bgra(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    /// The same with alpha multiplied in.
    pub fn premultiplied(self) -> [u8; 4] {
        let [b, g, r, a] = self.bgra();
        let times = |c: u8| ((u32::from(c) * u32::from(a) + 127) / 255) as u8;
        [times(b), times(g), times(r), a]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors() {
        assert_eq!(Color(0xff11_2233).premultiplied(), [0x33, 0x22, 0x11, 0xff]);
        assert_eq!(Color(0x80ff_0000).premultiplied(), [0, 0, 0x80, 0x80]);
        assert_eq!(Color(0x00ff_ffff).premultiplied(), [0; 4]);
    }

    #[test]
    fn tracks_have_colours_of_their_own_which_come_round() {
        let colors: Vec<u32> = (1..=10).map(|id| Color::of_track(id).0).collect();
        for (index, color) in colors.iter().enumerate() {
            assert!(!colors[..index].contains(color), "{color:x}");
            assert_eq!(color >> 24, 0xff);
        }
        assert_eq!(Color::of_track(11), Color::of_track(1));
        let _ = [Color::of_track(0), Color::of_track(u64::MAX)];
    }
}
