//! Which format a client prefers. No library of typed headers that is in use here has `Accept`.

use axum::http::{HeaderMap, header};

/// A format for values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    /// As `application/xml`.
    Xml,
    /// As `text/xml`, for who asks for that.
    TextXml,
}

/// How much a client likes each format: the largest weight it gives one of the format's names, and
/// `None` where it names none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in super::super) struct Accept {
    json: Option<f32>,
    xml: Option<f32>,
    text_xml: Option<f32>,
    plain: Option<f32>,
    html: Option<f32>,
    /// `application/*`, `text/*` and anything.
    any_application: Option<f32>,
    any_text: Option<f32>,
    anything: Option<f32>,
}

impl Accept {
    pub(in super::super) fn of(headers: &HeaderMap) -> Accept {
        let mut accept = Accept::default();
        for value in headers.get_all(header::ACCEPT) {
            for range in value.to_str().unwrap_or_default().split(',') {
                let (name, weight) = media_range(range);
                let place = match name.as_str() {
                    "application/json" | "text/json" => &mut accept.json,
                    "application/xml" => &mut accept.xml,
                    "text/xml" => &mut accept.text_xml,
                    "text/plain" => &mut accept.plain,
                    "text/html" | "application/xhtml+xml" => &mut accept.html,
                    "application/*" => &mut accept.any_application,
                    "text/*" => &mut accept.any_text,
                    "*/*" => &mut accept.anything,
                    _ => continue,
                };
                *place = Some(place.map_or(weight, |known| known.max(weight)));
            }
        }
        accept
    }

    /// The format for a value: XML if the client names it and likes it better than JSON, or refuses
    /// JSON and takes XML. Everybody else gets JSON, also who takes neither.
    pub(super) fn of_values(self) -> Format {
        let json = self.json_weight();
        let named = larger(self.xml, self.text_xml).unwrap_or(0.0);
        let taken = if self.refuses_json() {
            self.application(self.xml)
        } else {
            0.0
        };
        if named.max(taken) <= json {
            Format::Json
        } else if self.text_xml > self.xml {
            Format::TextXml
        } else {
            Format::Xml
        }
    }

    /// The format for a bare text; `None` means the text as it is. A client that takes anything
    /// gets that, as does one without preferences.
    pub(super) fn of_texts(self) -> Option<Format> {
        let plain = self.plain.or(self.any_text).or(self.anything);
        let plain = plain.unwrap_or(0.0);
        let best = larger(self.json, larger(self.xml, self.text_xml))?;
        (best > plain).then(|| self.of_values())
    }

    /// Whether the client names HTML and likes it better than JSON, as browsers do that show pages.
    pub(in super::super) fn prefers_html(self) -> bool {
        self.html.unwrap_or(0.0) > self.json.unwrap_or(0.0)
    }

    fn json_weight(self) -> f32 {
        self.application(self.json)
    }

    fn refuses_json(self) -> bool {
        self.json == Some(0.0)
    }

    /// The weight of a name of `application/`, which may not be given.
    fn application(self, named: Option<f32>) -> f32 {
        named
            .or(self.any_application)
            .or(self.anything)
            .unwrap_or(0.0)
    }
}

fn larger(a: Option<f32>, b: Option<f32>) -> Option<f32> {
    if a > b { a } else { b }
}

/// The lower-case name of a media range and its weight from 0 to 1. A weight that is no number
/// counts as 1.
fn media_range(range: &str) -> (String, f32) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts
        .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
        .and_then(|weight| weight.trim().parse().ok())
        .filter(|weight: &f32| !weight.is_nan())
        .unwrap_or(1.0);
    (name, weight.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn accept(values: &[&'static str]) -> Accept {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT, HeaderValue::from_static(value));
        }
        Accept::of(&headers)
    }

    #[test]
    fn xml_must_be_wanted_more_than_json() {
        for json in [
            &[][..],
            &[""],
            &["*/*"],
            &["application/json"],
            &["text/json, application/xml;q=0.9"],
            &["application/xml, application/json"],
            &["application/xml;q=0.5, */*"],
            &["application/xml;q=0.5, application/*;q=0.6"],
            &["application/json;q=0.1, */*"],
            &["application/xml;q=0"],
            &["image/png"],
            // What jQuery sends for the data type `json`.
            &["application/json, text/javascript, */*; q=0.01"],
        ] {
            assert_eq!(accept(json).of_values(), Format::Json, "{json:?}");
        }
        for xml in [
            &["application/xml"][..],
            &["Application/XML; charset=utf-8"],
            &["application/json;q=0.8, application/xml;q=0.9"],
            &["application/json;q=0.8", "application/xml"],
            &["application/xml, */*;q=0.1"],
            &["application/json;q=0, */*"],
            // What a browser sends.
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
        ] {
            assert_eq!(accept(xml).of_values(), Format::Xml, "{xml:?}");
        }
        for text_xml in [&["text/xml"][..], &["text/xml, application/xml;q=0.5"]] {
            assert_eq!(accept(text_xml).of_values(), Format::TextXml);
        }
    }

    #[test]
    fn a_format_must_be_wanted_more_than_plain_text() {
        for plain in [
            &[][..],
            &[""],
            &["*/*"],
            &["text/plain"],
            &["text/plain", "application/json"],
            // What axios sends.
            &["application/json, text/plain, */*"],
            &["image/png"],
            &["application/json;q=0.5, text/*"],
            &["application/json;q=0"],
        ] {
            assert_eq!(accept(plain).of_texts(), None, "{plain:?}");
        }
        for json in [
            &["application/json"][..],
            &["Application/JSON; charset=utf-8"],
            &["text/json"],
            &["application/json, text/javascript, */*; q=0.01"],
            &["text/plain; q=0.2, application/json;q=0.8, */*"],
            &["text/plain;q=0", "application/json;q=0.1"],
        ] {
            assert_eq!(accept(json).of_texts(), Some(Format::Json), "{json:?}");
        }
        assert_eq!(accept(&["application/xml"]).of_texts(), Some(Format::Xml));
    }

    #[test]
    fn html_must_be_named_and_wanted_more_than_json() {
        for html in [
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"][..],
            &["text/html"],
            &["Text/HTML;q=0.5, application/json;q=0.4"],
            &["application/json;q=0, */*", "application/xhtml+xml"],
        ] {
            assert!(accept(html).prefers_html(), "{html:?}");
        }
        for other in [
            &[][..],
            &["*/*"],
            &["text/*"],
            &["application/json"],
            &["application/json, text/html"],
            &["text/html;q=0, */*"],
            // What axios and jQuery send.
            &["application/json, text/plain, */*"],
            &["application/json, text/javascript, */*; q=0.01"],
        ] {
            assert!(!accept(other).prefers_html(), "{other:?}");
        }
    }

    #[test]
    fn weights_that_are_none_count_as_1() {
        for weight in ["x", "", "NaN", "7"] {
            assert_eq!(media_range(&format!("a/b;q={weight}")).1, 1.0, "{weight}");
        }
        assert_eq!(media_range("a/b;q=-1").1, 0.0);
    }
}
