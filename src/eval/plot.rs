//! The plot of a report.

use std::path::Path;

use plotters::prelude::{
    ChartBuilder, Color, IntoDrawingArea, LineSeries, PathElement, RGBColor, SVGBackend,
    SeriesLabelPosition, WHITE,
};

use super::report::{Curve, LivenessReport};

/// Distinct also for those who do not see red and green apart (Okabe and Ito 2008).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 0, 0),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Writes the errors at every threshold as an SVG, with `threshold`, the one in use, marked.
///
/// # Errors
///
/// If the file cannot be written.
pub fn plot(report: &LivenessReport, threshold: f64, path: &Path) -> Result<(), String> {
    draw(report, threshold, path).map_err(|error| error.to_string())
}

fn draw(
    report: &LivenessReport,
    threshold: f64,
    path: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, (800, 500)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Errors of the liveness decision", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(46)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..1.0, 0.0..100.0)?;
    chart
        .configure_mesh()
        .x_desc("threshold on the score")
        .y_desc("presentations decided wrongly, %")
        .label_style(("sans-serif", 14))
        .light_line_style(RGBColor(240, 240, 240))
        .draw()?;
    for (curve, colour) in report.curves.iter().zip(COLOURS.into_iter().cycle()) {
        let width = if curve.name == "BPCER" { 3 } else { 2 };
        let points = curve.rates.iter().enumerate();
        let points = points.map(|(step, rate)| (step as f64 * Curve::STEP, rate * 100.0));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(width)))?
            .label(&curve.name)
            .legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(width))
            });
    }
    let grey = RGBColor(130, 130, 130);
    chart
        .draw_series(LineSeries::new(
            [(threshold, 0.0), (threshold, 100.0)],
            grey,
        ))?
        .label("threshold in use")
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], grey));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperMiddle)
        .background_style(WHITE.mix(0.9))
        .border_style(grey)
        .label_font(("sans-serif", 14))
        .draw()?;
    area.present()?;
    Ok(())
}
