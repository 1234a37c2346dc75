//! A box of a call: which of several faces is meant.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::face::Bounds;

/// Where in a picture a face is: `"left,top,width,height"`, `[left,top,width,height]`, or an object as
/// in the answers of this API.
#[derive(Clone, Copy)]
pub(super) struct GivenBox(pub(super) Bounds);

const EXPECTED: &str = "a box, `left,top,width,height` in pixels with a width and a height above 0";

impl<'de> Deserialize<'de> for GivenBox {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<GivenBox, D::Error> {
        deserializer.deserialize_any(Numbers)
    }
}

struct Numbers;

impl Numbers {
    fn boxed<E: Error>(numbers: [f32; 4]) -> Result<GivenBox, E> {
        let bounds = Bounds::of_numbers(numbers);
        bounds.map(GivenBox).map_err(|_wrong| Numbers::wrong())
    }

    fn wrong<E: Error>() -> E {
        // What came is not said again.
        E::custom(format_args!("wrong, expected {EXPECTED}"))
    }
}

impl<'de> Visitor<'de> for Numbers {
    type Value = GivenBox;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<GivenBox, E> {
        let bounds = text.parse::<Bounds>();
        bounds.map(GivenBox).map_err(|_wrong| Numbers::wrong())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<GivenBox, A::Error> {
        let mut numbers = [0.0; 4];
        for number in &mut numbers {
            *number = list.next_element()?.ok_or_else(Numbers::wrong)?;
        }
        match list.next_element::<IgnoredAny>()? {
            None => Numbers::boxed(numbers),
            Some(IgnoredAny) => Err(Numbers::wrong()),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<GivenBox, A::Error> {
        const NAMES: [&str; 4] = ["left", "top", "width", "height"];
        let mut numbers = [None; 4];
        while let Some(name) = map.next_key::<String>()? {
            let at = NAMES.iter().position(|known| *known == name);
            let at = at.ok_or_else(Numbers::wrong)?;
            if numbers[at].replace(map.next_value::<f32>()?).is_some() {
                return Err(Numbers::wrong());
            }
        }
        match numbers {
            [Some(left), Some(top), Some(width), Some(height)] => {
                Numbers::boxed([left, top, width, height])
            }
            _ => Err(Numbers::wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_a_text_a_list_or_an_object() {
        for text in [
            r#""1,2,3,4""#,
            r#"" 1.0, 2, 3, 4 ""#,
            "[1,2,3,4]",
            r#"{"height":4,"left":1,"width":3,"top":2}"#,
        ] {
            let found: GivenBox = serde_json::from_str(text).unwrap();
            let Bounds {
                x,
                y,
                width,
                height,
            } = found.0;
            assert_eq!([x, y, width, height], [1.0, 2.0, 3.0, 4.0], "{text}");
        }
        for text in [
            r#""""#,
            r#""1,2,3""#,
            r#""1,2,3,NaN""#,
            r#""1,2,-3,4""#,
            "[1,2,3]",
            "[1,2,3,4,5]",
            "[1,2,0,4]",
            "[1,2,3,1e39]",
            "[1,2,3,\"4\"]",
            "7",
            "true",
            r#"{"left":1,"top":2,"width":3}"#,
            r#"{"left":1,"top":2,"width":3,"height":4,"depth":5}"#,
            r#"{"left":1,"left":1,"top":2,"width":3,"height":4}"#,
        ] {
            assert!(serde_json::from_str::<GivenBox>(text).is_err(), "{text}");
        }
    }
}
