//! Everybody in a picture: groups that are composed of portraits.

use std::sync::LazyLock;
use std::time::Duration;

use image::{RgbImage, imageops};
use vultus::face::{
    Bounds, Everybody, FaceError, FacePipeline, Patience, Picture, PipelineOptions,
};
use vultus::types::Embedding;

use crate::face::{PIPELINE, PORTRAITS, backdrop, cosine, head, lay, picture_of, portrait};

const MOST: usize = 100;

fn everybody(image: &RgbImage) -> Everybody {
    let patience = Patience::endless();
    let looking = PIPELINE.within(&patience);
    looking.everybody_in(&picture_of(image), MOST).unwrap()
}

/// Heads of so many pixels, each with its middle.
fn group(size: (u32, u32), people: &[(usize, f32, (f32, f32))]) -> RgbImage {
    let mut canvas = backdrop(size.0, size.1);
    for &(who, height, at) in people {
        lay(&mut canvas, &head(&PORTRAITS[who], height), 0.0, at);
    }
    canvas
}

/// One face of each of the two people of the portraits.
static ALONE: LazyLock<[Embedding; 2]> = LazyLock::new(|| {
    [0, 1].map(|who| {
        let face = PIPELINE.only_face(&portrait(PORTRAITS[who].name));
        face.unwrap().embedding
    })
});

/// Which of the two it is.
fn is_obama(embedding: &Embedding) -> bool {
    let [biden, obama] = ALONE.each_ref().map(|alone| cosine(embedding, alone));
    assert!((biden - obama).abs() > 0.2, "{biden}, {obama}");
    obama > biden
}

#[test]
fn everybody_in_a_large_picture_is_found_and_is_who_it_is() {
    // Heads of 45 pixels have 14 on the canvas on which pictures of one person are looked at.
    let people = [
        (1, 400.0, (500.0, 500.0)),
        (0, 120.0, (1300.0, 300.0)),
        (1, 64.0, (1700.0, 700.0)),
        (0, 64.0, (1023.0, 1010.0)),
        (1, 45.0, (1400.0, 1200.0)),
        // Too few pixels for the encoder.
        (0, 16.0, (1850.0, 150.0)),
    ];
    let image = group((2000, 1400), &people);
    let found = everybody(&image);
    assert_eq!(found.left_out, 0);
    let boxes: Vec<Bounds> = found.faces.iter().map(|face| face.bounds).collect();
    assert!((5..=6).contains(&boxes.len()), "{boxes:?}");
    for &(who, height, (x, y)) in &people[..5] {
        let near = |face: &&vultus::face::FoundFace| {
            let centre = face.bounds.centre();
            (centre.x - x).hypot(centre.y - y) < 0.5 * height
        };
        let mut near = found.faces.iter().filter(near);
        let face = near
            .next()
            .unwrap_or_else(|| panic!("nobody at {x}, {y}: {boxes:?}"));
        assert!(near.next().is_none(), "twice at {x}, {y}: {boxes:?}");
        assert!(
            (0.7..1.4).contains(&(face.bounds.height / height)),
            "{:?}",
            face.bounds
        );
        let embedding = face.embedding.as_ref().unwrap();
        assert_eq!(is_obama(embedding), who == 1, "{height} pixels");
        assert!(
            face.quality > 0.2 || height < 50.0,
            "{height}: {}",
            face.quality
        );
    }
    if let Some(smallest) = found.faces.get(5) {
        assert_eq!((smallest.quality, &smallest.embedding), (0.0, &None));
    }
    // The most prominent first.
    assert!(boxes[0].height > 300.0);
}

#[test]
fn a_group_upside_down_or_on_a_side_is_the_same_group() {
    let people = [
        (1, 150.0, (250.0, 250.0)),
        (0, 150.0, (700.0, 260.0)),
        (1, 60.0, (480.0, 500.0)),
    ];
    let upright = group((960, 640), &people);
    for (turned, degrees) in [
        (imageops::rotate180(&upright), 180.0),
        (imageops::rotate90(&upright), 90.0),
    ] {
        let found = everybody(&turned);
        assert_eq!(found.faces.len(), 3, "turned by {degrees}");
        let obamas = found.faces.iter();
        let obamas = obamas.filter(|face| is_obama(face.embedding.as_ref().unwrap()));
        assert_eq!(obamas.count(), 2, "turned by {degrees}");
    }
}

#[test]
fn a_picture_of_nobody_has_nobody_in_it() {
    assert_eq!(everybody(&backdrop(900, 700)).faces, []);
    assert_eq!(everybody(&backdrop(20, 4000)).faces, []);
}

#[test]
fn of_more_faces_than_are_wanted_the_most_prominent_are_looked_at() {
    let people: Vec<_> = (0..12)
        .map(|at| {
            (
                1,
                60.0 + 2.0 * at as f32,
                (
                    110.0 + 180.0 * (at % 4) as f32,
                    120.0 + 200.0 * (at / 4) as f32,
                ),
            )
        })
        .collect();
    let image = group((800, 660), &people);
    let patience = Patience::endless();
    let looking = PIPELINE.within(&patience);
    let found = looking.everybody_in(&picture_of(&image), 3).unwrap();
    assert_eq!((found.faces.len(), found.left_out), (3, 9));
    assert!(
        found
            .faces
            .iter()
            .all(|face| face.bounds.centre().y > 400.0)
    );
    let none = looking.everybody_in(&picture_of(&image), 0).unwrap();
    assert_eq!((none.faces.len(), none.left_out), (0, 12));
    let over = Patience::of(Duration::ZERO);
    let error = PIPELINE.within(&over).everybody_in(&picture_of(&image), 3);
    assert!(matches!(error, Err(FaceError::TooSlow { .. })));
}

#[test]
fn a_box_chooses_the_face_that_it_overlaps_most() {
    let people = [(1, 150.0, (250.0, 250.0)), (0, 150.0, (600.0, 250.0))];
    let picture: Picture = picture_of(&group((860, 500), &people));
    let patience = Patience::endless();
    let looking = PIPELINE.within(&patience);
    let boxed = |x: f32, y: f32, width: f32, height: f32| {
        let bounds = Bounds {
            x,
            y,
            width,
            height,
        };
        looking.face_within(&picture, &bounds).unwrap()
    };
    for ((x, y, width, height), expected) in [
        ((190.0, 170.0, 120.0, 150.0), Some(true)),
        ((540.0, 170.0, 120.0, 150.0), Some(false)),
        // A part of one, far too much of it, and more of one than of the other.
        ((560.0, 230.0, 20.0, 20.0), Some(false)),
        ((-900.0, -900.0, 1200.0, 2000.0), Some(true)),
        ((200.0, 100.0, 380.0, 300.0), Some(true)),
        // Over nobody.
        ((400.0, 10.0, 40.0, 40.0), None),
        ((400.0, 10.0, 0.0, 0.0), None),
    ] {
        let found = boxed(x, y, width, height);
        let found = found.map(|face| is_obama(&face.embedding));
        assert_eq!(found, expected, "{x}, {y}, {width} x {height}");
    }
}

#[test]
fn a_large_picture_of_few_bytes_is_looked_at_in_few_pieces() {
    let pipeline = FacePipeline::new(&PipelineOptions::default()).unwrap();
    let patience = Patience::endless();
    let looks = |image: &RgbImage, bytes: usize| {
        let before = pipeline.stages().detect.read().count;
        let looking = pipeline.within(&patience).of_bytes(bytes);
        looking.everybody_in(&picture_of(image), MOST).unwrap();
        pipeline.stages().detect.read().count - before
    };
    // More than 4096 pixels: four pieces or more.
    let white = RgbImage::from_pixel(4200, 1100, image::Rgb([255; 3]));
    let stripes = RgbImage::from_fn(4200, 1100, |x, _| image::Rgb([(x / 8 % 2 * 200) as u8; 3]));
    let (few, many) = (looks(&stripes, 35), looks(&stripes, 100_000));
    assert!(few + 3 <= many, "{few} and {many}");
    let none = looks(&white, 100_000);
    assert!(none + 4 <= many, "{none} and {many}");
    // A scan with one photo: what is white around it does not count.
    let mut scan = white;
    let (photo, at) = (head(&PORTRAITS[0], 150.0), (3_900.0, 900.0));
    lay(&mut scan, &photo, 0.0, at);
    let looking = pipeline.within(&patience).of_bytes(3_000);
    let found = looking.everybody_in(&picture_of(&scan), MOST).unwrap();
    assert_eq!(found.faces.len(), 1);
}
