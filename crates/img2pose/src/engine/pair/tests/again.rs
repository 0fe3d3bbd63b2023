//! A second look at the same faces.

use img2pose_onnx::ModelProto;

use super::*;

/// A detector of a model that is looked at again, if at all, as `second` says (mirrored or not).
fn looking_again(mut model: ModelProto, second: Option<bool>) -> Detector {
    let metadata = model.metadata_props[0].value.as_mut().unwrap();
    let mut facts: serde_json::Value = serde_json::from_str(metadata).unwrap();
    if let Some(mirrored) = second {
        facts["second_look"] = serde_json::json!({ "mirrored": mirrored });
    }
    *metadata = facts.to_string();
    let bytes = img2pose_onnx::encode(&model).unwrap();
    let model = Model::parse("/some/pair.onnx".as_ref(), bytes).unwrap();
    Detector::load(&model, options()).unwrap()
}

/// What is looked at again is seen otherwise, in any company the same; where more crops than a run takes are looked at, as well.
#[test]
fn a_second_look_is_the_same_bit_for_bit_in_any_company() {
    let pictures: Vec<Vec<u8>> = (0..4).map(picture).collect();
    let mut seen: Vec<Vec<Face>> = Vec::new();
    for second in [None, Some(false), Some(true)] {
        let mut detector = looking_again(small_pair(), second);
        let expected: Vec<Vec<Face>> = pictures
            .iter()
            .map(|pixels| alone(&mut detector, pixels))
            .collect();
        assert!(expected.iter().all(|faces| faces.len() > 3));
        let members: Vec<usize> = (0..MOST_CROPS)
            .map(|number| number * 7 % pictures.len())
            .collect();
        let frames: Vec<Frame<'_>> = members.iter().map(|&index| frame(&pictures[index])).collect();
        for (index, found) in members.iter().zip(detector.detect(&frames).unwrap()) {
            assert_eq!(found, expected[*index], "{second:?}, picture {index}");
        }
        let faces = expected.concat();
        for (number, others) in seen.iter().enumerate() {
            assert!(faces[0].pose != others[0].pose, "{second:?} and {number}");
        }
        seen.push(faces);
    }
}

/// A model that answers the same to any crop sees the same face again, in the square where the first look has put it.
#[test]
fn a_second_look_goes_where_the_first_one_saw_the_face() {
    let pixels = picture(2);
    let [once, twice, mirrored] = [None, Some(false), Some(true)].map(|second| {
        let mut model = small_pair();
        let graph = model.graph.as_mut().unwrap();
        // The matrix adds its constants alone.
        let matrix = graph
            .node
            .iter()
            .find(|node| node.output[0] == "answers")
            .unwrap();
        let weights = matrix.input[1].clone();
        let weights = graph
            .initializer
            .iter_mut()
            .find(|tensor| tensor.name() == weights);
        let raw = weights.unwrap().raw_data.as_mut().unwrap();
        *raw = vec![0; raw.len()].into();
        alone(&mut looking_again(model, second), &pixels)
    });
    assert!(once.len() > 3);
    for faces in [&twice, &mirrored] {
        assert_eq!(faces[0].confidence, once[0].confidence);
        let middle = |face: &Face| [0, 1].map(|axis| (face.bbox[axis] + face.bbox[axis + 2]) / 2.0);
        let ([x, y], [u, v]) = (middle(&once[0]), middle(&faces[0]));
        let [x_min, y_min, x_max, y_max] = once[0].bbox;
        assert!(
            (x - u).hypot(y - v) < (x_max - x_min).max(y_max - y_min) / 2.0,
            "{faces:?}"
        );
        assert!(faces[0].bbox != once[0].bbox);
    }
}
