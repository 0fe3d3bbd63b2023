//! How players are to turn the video of an MP4 file: `mp4mux` writes it from GStreamer 1.24 on only.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes of a `tkhd` box at least: up to and with matrix, width and height, in its shorter version.
const LEAST_HEADER: u64 = 84;
/// 1 in the 16.16 numbers of a matrix.
const ONE: i64 = 1 << 16;

/// Where the contents of a box begin and end.
struct Part {
    start: u64,
    end: u64,
}

/// Writes into each track of the file that has a picture how it is to be turned.
///
/// `orientation` is what the JSON lines have: `90r` and so on, as `GstVideoOrientationMethod` names them.
///
/// # Errors
/// The file cannot be read or written, is no MP4 file, has no video track, or there is no such orientation.
pub fn mark(path: &Path, orientation: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    match write_orientation(&mut file, orientation)? {
        0 => Err(wrong("it has no video track")),
        _ => Ok(()),
    }
}

/// Where the x and y axes of the picture go, and in widths and heights where its corner goes (ISO/IEC 14496-12, track header).
type Matrix = [(i64, i64); 4];

fn matrix(orientation: &str) -> Option<Matrix> {
    Some(match orientation {
        "90r" => [(0, 1), (-1, 0), (0, 1), (0, 0)],
        "180" => [(-1, 0), (0, -1), (1, 0), (0, 1)],
        "90l" => [(0, -1), (1, 0), (0, 0), (1, 0)],
        "horiz" => [(-1, 0), (0, 1), (1, 0), (0, 0)],
        "vert" => [(1, 0), (0, -1), (0, 0), (0, 1)],
        "ul-lr" => [(0, 1), (1, 0), (0, 0), (0, 0)],
        "ur-ll" => [(0, -1), (-1, 0), (0, 1), (1, 0)],
        _ => return None,
    })
}

/// Gives the number of tracks that were changed.
fn write_orientation(file: &mut (impl Read + Write + Seek), orientation: &str) -> io::Result<usize> {
    let matrix =
        matrix(orientation).ok_or_else(|| wrong(&format!("there is no orientation '{orientation}'")))?;
    let mut changed = 0;
    let all = Part {
        start: 0,
        end: file.seek(SeekFrom::End(0))?,
    };
    for movie in children(file, &all, *b"moov")? {
        for track in children(file, &movie, *b"trak")? {
            for header in children(file, &track, *b"tkhd")? {
                changed += usize::from(write_header(file, &header, &matrix)?);
            }
        }
    }
    Ok(changed)
}

/// False for a track without a picture, such as sound.
fn write_header(file: &mut (impl Read + Write + Seek), header: &Part, matrix: &Matrix) -> io::Result<bool> {
    if header.end - header.start < LEAST_HEADER {
        return Ok(false);
    }
    // Width and height in 16.16 come last, the matrix before them.
    file.seek(SeekFrom::Start(header.end - 8))?;
    let (width, height) = (i64::from(read_u32(file)?), i64::from(read_u32(file)?));
    if width == 0 {
        return Ok(false);
    }
    let [(a, b), (c, d), x, y] = *matrix;
    let corner = |(across, down)| across * width + down * height;
    let numbers = [
        a * ONE,
        b * ONE,
        0,
        c * ONE,
        d * ONE,
        0,
        corner(x),
        corner(y),
        1 << 30,
    ];
    file.seek(SeekFrom::Start(header.end - 44))?;
    for number in numbers {
        let number = i32::try_from(number).map_err(|_| wrong("its picture is too large"))?;
        file.write_all(&number.to_be_bytes())?;
    }
    Ok(true)
}

/// The boxes of that type right inside `parent`.
fn children(file: &mut (impl Read + Seek), parent: &Part, kind: [u8; 4]) -> io::Result<Vec<Part>> {
    let mut found = Vec::new();
    let mut at = parent.start;
    while at + 8 <= parent.end {
        file.seek(SeekFrom::Start(at))?;
        let mut size = u64::from(read_u32(file)?);
        let mut name = [0; 4];
        file.read_exact(&mut name)?;
        let mut start = at + 8;
        match size {
            0 => size = parent.end - at,
            1 => {
                let mut long = [0; 8];
                file.read_exact(&mut long)?;
                size = u64::from_be_bytes(long);
                start += 8;
            }
            _ => {}
        }
        let end = at
            .checked_add(size)
            .filter(|end| (start..=parent.end).contains(end));
        let end = end.ok_or_else(|| wrong(&format!("the box at byte {at} is {size} bytes long")))?;
        if name == kind {
            found.push(Part { start, end });
        }
        at = end;
    }
    Ok(found)
}

fn read_u32(file: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn wrong(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn part(kind: &[u8; 4], contents: &[u8]) -> Vec<u8> {
        let size = u32::try_from(contents.len() + 8).unwrap();
        [&size.to_be_bytes()[..], kind, contents].concat()
    }

    /// A track header, version 0, with a matrix that turns nothing.
    fn header(width: u32, height: u32) -> Vec<u8> {
        let mut contents = vec![0; 40];
        for number in [1_i32 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30] {
            contents.extend(number.to_be_bytes());
        }
        contents.extend((width << 16).to_be_bytes());
        contents.extend((height << 16).to_be_bytes());
        part(b"tkhd", &contents)
    }

    fn file(headers: &[Vec<u8>]) -> Vec<u8> {
        let tracks: Vec<_> = headers.iter().flat_map(|header| part(b"trak", header)).collect();
        // A box whose size is of 64 bits, as large files have them.
        let mut data = [&1_u32.to_be_bytes()[..], b"mdat", &24_u64.to_be_bytes()].concat();
        data.extend([7; 8]);
        [part(b"ftyp", b"isom"), data, part(b"moov", &tracks)].concat()
    }

    /// Where a picture's corners go, by the matrix in the file: x' = a x + c y + x0, y' = b x + d y + y0.
    fn turned(file: &[u8], size: (i32, i32)) -> Vec<(i32, i32)> {
        let at = file.windows(4).position(|bytes| bytes == b"tkhd").unwrap() + 4 + 40;
        let number = |place: usize| {
            i32::from_be_bytes(file[at + 4 * place..at + 4 * place + 4].try_into().unwrap()) >> 16
        };
        let (width, height) = size;
        [(0, 0), (width, 0), (0, height)]
            .map(|(x, y)| {
                (
                    number(0) * x + number(3) * y + number(6),
                    number(1) * x + number(4) * y + number(7),
                )
            })
            .to_vec()
    }

    #[test]
    fn corners_go_where_the_orientation_says() {
        // The corners at the upper left, upper right and lower left of a picture of 4 x 3.
        for (orientation, corners) in [
            ("90r", [(3, 0), (3, 4), (0, 0)]),
            ("180", [(4, 3), (0, 3), (4, 0)]),
            ("90l", [(0, 4), (0, 0), (3, 4)]),
            ("horiz", [(4, 0), (0, 0), (4, 3)]),
            ("vert", [(0, 3), (4, 3), (0, 0)]),
            ("ul-lr", [(0, 0), (0, 4), (3, 0)]),
            ("ur-ll", [(3, 4), (3, 0), (0, 4)]),
        ] {
            let mut bytes = Cursor::new(file(&[header(4, 3), header(0, 0)]));
            assert_eq!(write_orientation(&mut bytes, orientation).unwrap(), 1);
            assert_eq!(turned(bytes.get_ref(), (4, 3)), corners, "{orientation}");
        }
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        let mut whole = file(&[header(4, 3)]);
        assert!(write_orientation(&mut Cursor::new(whole.clone()), "left").is_err());
        assert_eq!(write_orientation(&mut Cursor::new(Vec::new()), "90r").unwrap(), 0);
        whole.truncate(whole.len() - 1);
        assert!(write_orientation(&mut Cursor::new(whole.clone()), "90r").is_err());
        let before = file(&[header(0, 0)]);
        let mut sound = Cursor::new(before.clone());
        assert_eq!(write_orientation(&mut sound, "90r").unwrap(), 0);
        assert_eq!(sound.into_inner(), before);
    }
}
