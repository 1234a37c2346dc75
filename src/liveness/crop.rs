//! Cutting faces out of pictures, each way that a network was trained with.
//!
//! Between pixels values are linear and pixels are squares, as in OpenCV's `resize`, and nothing is
//! averaged however much a face shrinks: the networks saw such pictures when they were trained.

use crate::face::{Bounds, Picture};

/// Part of a picture, in whole pixels, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl Window {
    /// `bounds` enlarged by `factor` about its middle, moved back into the picture where it leaves
    /// it, and enlarged less where it would not fit.
    pub(super) fn inside(picture: &Picture, bounds: &Bounds, factor: f32) -> Window {
        let (right, bottom) = (picture.width() as f32 - 1.0, picture.height() as f32 - 1.0);
        let factor = factor.min(right / bounds.width).min(bottom / bounds.height);
        let centre = bounds.centre();
        let along = |centre: f32, length: f32, last: f32| {
            let first = (centre - length / 2.0).min(last - length).max(0.0);
            // Conversions cut off, as they do where the network comes from, and saturate.
            (first as usize, (first + length).min(last) as usize)
        };
        let (left, right) = along(centre.x, bounds.width * factor, right);
        let (top, bottom) = along(centre.y, bounds.height * factor, bottom);
        Window {
            left,
            top,
            right: right.max(left),
            bottom: bottom.max(top),
        }
    }

    /// What of `bounds`, enlarged by `factor` about its middle, lies in the picture.
    pub(super) fn clipped(picture: &Picture, bounds: &Bounds, factor: f32) -> Window {
        let centre = bounds.centre();
        let along = |centre: f32, length: f32, pixels: usize| {
            let last = (pixels - 1) as f32;
            // Not `clamp`, which keeps NaN and panics at it.
            let first = (centre - length / 2.0).max(0.0).min(last);
            let end = (centre + length / 2.0).max(first).min(last);
            (first as usize, end as usize)
        };
        let (left, right) = along(centre.x, bounds.width * factor, picture.width());
        let (top, bottom) = along(centre.y, bounds.height * factor, picture.height());
        Window {
            left,
            top,
            right,
            bottom,
        }
    }

    /// All of a picture.
    pub(super) fn whole(picture: &Picture) -> Window {
        Window {
            left: 0,
            top: 0,
            right: picture.width() - 1,
            bottom: picture.height() - 1,
        }
    }

    /// Its middle, or all of it if it has no more than `side` pixels across and down.
    pub(super) fn middle(&self, side: usize) -> Window {
        let along = |first: usize, length: usize| {
            let kept = length.min(side);
            let first = first + (length - kept) / 2;
            (first, first + kept - 1)
        };
        let (left, right) = along(self.left, self.width());
        let (top, bottom) = along(self.top, self.height());
        Window {
            left,
            top,
            right,
            bottom,
        }
    }

    /// What it shows, as a picture of its own.
    pub(super) fn cut(&self, picture: &Picture) -> Picture {
        let mut rgb = Vec::with_capacity(self.width() * self.height() * 3);
        for y in self.top..=self.bottom {
            let row = y * picture.width();
            rgb.extend_from_slice(
                &picture.rgb()[(row + self.left) * 3..=(row + self.right) * 3 + 2],
            );
        }
        Picture::from_rgb(self.width(), self.height(), rgb)
    }

    fn width(&self) -> usize {
        self.right - self.left + 1
    }

    fn height(&self) -> usize {
        self.bottom - self.top + 1
    }

    /// Where in the picture something is that lies at these shares of the window's sides.
    pub(super) fn place(&self, x: f32, y: f32) -> (f32, f32) {
        (
            self.left as f32 + x * self.width() as f32,
            self.top as f32 + y * self.height() as f32,
        )
    }

    /// Red, green and blue of the window at `side` x `side`, row by row, 0 to 255.
    pub(super) fn resized(&self, picture: &Picture, side: usize) -> Vec<[u8; 3]> {
        let columns = taps(self.left, self.width(), side);
        let rows = taps(self.top, self.height(), side);
        let rgb = picture.rgb();
        let at = |x: usize, y: usize, channel: usize| {
            f32::from(rgb[(y * picture.width() + x) * 3 + channel])
        };
        let mut values = Vec::with_capacity(side * side);
        for row in &rows {
            for column in &columns {
                let mut pixel = [0; 3];
                for (channel, value) in pixel.iter_mut().enumerate() {
                    let above = mix(
                        at(column.first, row.first, channel),
                        at(column.second, row.first, channel),
                        column.share,
                    );
                    let below = mix(
                        at(column.first, row.second, channel),
                        at(column.second, row.second, channel),
                        column.share,
                    );
                    // Rounded, without a function call.
                    *value = (mix(above, below, row.share) + 0.5) as u8;
                }
                values.push(pixel);
            }
        }
        values
    }
}

/// The two pixels that one lies between, and how much the second counts.
struct Tap {
    first: usize,
    second: usize,
    share: f32,
}

fn taps(start: usize, from: usize, to: usize) -> Vec<Tap> {
    let step = from as f32 / to as f32;
    (0..to)
        .map(|at| {
            let place = ((at as f32 + 0.5) * step - 0.5).clamp(0.0, (from - 1) as f32);
            let first = place as usize;
            Tap {
                first: start + first,
                second: start + (first + 1).min(from - 1),
                share: place - first as f32,
            }
        })
        .collect()
}

fn mix(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

/// Three planes of `side` x `side`, the channels in the order that `channels` says, each value
/// through `map` with the number of its plane.
pub(super) fn planes(
    pixels: &[[u8; 3]],
    channels: [usize; 3],
    map: impl Fn(usize, f32) -> f32,
) -> Vec<f32> {
    let mut values = Vec::with_capacity(pixels.len() * 3);
    for (plane, channel) in channels.into_iter().enumerate() {
        values.extend(
            pixels
                .iter()
                .map(|pixel| map(plane, f32::from(pixel[channel]))),
        );
    }
    values
}

/// Brightness, 0 to 255, with the weights of ITU-R BT.601.
pub(super) fn luma([red, green, blue]: [f32; 3]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red is the column, green the row.
    fn ramp(width: usize, height: usize) -> Picture {
        let rgb = (0..width * height).flat_map(|at| [(at % width) as u8, (at / width) as u8, 7]);
        Picture::from_rgb(width, height, rgb.collect())
    }

    fn bounds(x: f32, y: f32, width: f32, height: f32) -> Bounds {
        Bounds {
            x,
            y,
            width,
            height,
        }
    }

    #[test]
    fn a_window_is_moved_back_into_the_picture() {
        let picture = ramp(200, 100);
        let whole = |window: Window| (window.left, window.top, window.right, window.bottom);
        // Enlarged twice it fits, but not where it is.
        let corner = Window::inside(&picture, &bounds(180.0, 2.0, 20.0, 30.0), 2.0);
        assert_eq!(whole(corner), (159, 0, 199, 60));
        // It would be 160 high: only 99 fit.
        let tall = Window::inside(&picture, &bounds(90.0, 20.0, 20.0, 80.0), 2.0);
        assert_eq!((tall.top, tall.bottom), (0, 99));
        let width = tall.right - tall.left;
        assert!((24..=25).contains(&width), "{width}");
    }

    #[test]
    fn a_clipped_window_stays_where_it_is() {
        let picture = ramp(200, 100);
        let window = Window::clipped(&picture, &bounds(180.0, -10.0, 40.0, 30.0), 1.0);
        assert_eq!((window.left, window.top), (180, 0));
        assert_eq!((window.right, window.bottom), (199, 20));
        assert_eq!(window.place(0.5, 0.0), (190.0, 0.0));
    }

    #[test]
    fn what_is_cut_out_shows_the_same() {
        let picture = ramp(200, 100);
        let window = Window::clipped(&picture, &bounds(10.0, 20.0, 79.0, 39.0), 1.0);
        let cut = window.cut(&picture);
        assert_eq!((cut.width(), cut.height()), (80, 40));
        assert_eq!(cut.rgb()[..3], [10, 20, 7]);
        assert_eq!(cut.rgb()[80 * 40 * 3 - 3..], [89, 59, 7]);
        let whole = Window::whole(&cut);
        assert_eq!(whole.resized(&cut, 33), window.resized(&picture, 33));
        let middle = window.middle(60);
        assert_eq!((middle.left, middle.right), (20, 79));
        assert_eq!((middle.top, middle.bottom), (20, 59));
        assert_eq!(
            Window::whole(&picture).middle(1).cut(&picture).rgb().len(),
            3
        );
    }

    #[test]
    fn hostile_bounds_give_some_window() {
        let picture = ramp(200, 100);
        for value in [-1e30, -5.0, 0.0, 1e30, f32::NAN] {
            for size in [0.0, 1e-20, 1e30, f32::NAN] {
                let bounds = bounds(value, value, size, size);
                for window in [
                    Window::inside(&picture, &bounds, 2.7),
                    Window::clipped(&picture, &bounds, 1.5),
                ] {
                    assert_eq!(window.resized(&picture, 8).len(), 64);
                }
            }
        }
    }

    #[test]
    fn a_window_is_resized_between_pixels() {
        let picture = ramp(200, 100);
        let window = Window::clipped(&picture, &bounds(10.0, 20.0, 79.0, 39.0), 1.0);
        let pixels = window.resized(&picture, 40);
        assert_eq!(pixels.len(), 1600);
        // Two columns and one row for each pixel: the middle of columns 10 and 11 is 10.5, rounded.
        assert_eq!(pixels[0], [11, 20, 7]);
        assert_eq!(pixels[40 * 39 + 39], [89, 59, 7]);
        let values = planes(&pixels, [2, 1, 0], |plane, value| {
            value + 100.0 * plane as f32
        });
        assert_eq!((values[0], values[1600], values[3200]), (7.0, 120.0, 211.0));
    }
}
