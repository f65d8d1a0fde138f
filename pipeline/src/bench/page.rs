//! Results as a page of charts that needs nothing but a browser: bars are boxes of a width.

use std::fmt::Write;

use super::{Expectation, Results, RunResult, gib};

/// Stages that a chart shows.
const STAGES_SHOWN: usize = 15;

const HEAD: &str = r#"<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Strata: measurements</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #223 }
h1 { font-size: 1.5em } h2 { font-size: 1.1em; margin: 2em 0 .5em }
table { border-collapse: collapse; width: 100% }
td { padding: .15em .6em .15em 0; vertical-align: middle; white-space: nowrap }
td.n { text-align: right; font-variant-numeric: tabular-nums }
td.bar { width: 60% } td.bar div { background: #3a6ea5; height: 1em; min-width: 1px }
p { color: #556 }
</style>
"#;

/// One bar: what it stands for, its value, and what is said beside it.
struct Bar {
    label: String,
    value: f64,
    said: String,
}

impl Bar {
    fn new(label: impl Into<String>, value: f64, said: impl Into<String>) -> Bar {
        Bar { label: label.into(), value, said: said.into() }
    }
}

/// The page of all results.
pub fn page(results: &Results) -> String {
    let mut html = HEAD.to_string();
    let _ = writeln!(html, "<h1>Project {}, {} threads</h1>", escape(&results.project), results.threads);
    let worlds = &results.worlds;
    let by_world = |value: &dyn Fn(&super::WorldResult) -> (f64, String)| {
        let bar = |world: &super::WorldResult| {
            let (value, said) = value(world);
            Bar::new(format!("scale {}", world.scale), value, said)
        };
        worlds.iter().map(bar).collect::<Vec<_>>()
    };
    let growth = by_world(&|world| {
        let (per_gib, gib) = (world.seconds_per_gib(), gib(world.floor.bytes as f64));
        let wall = world.run.usage.wall_seconds;
        let floors = wall / world.floor_seconds().max(1e-9);
        (per_gib, format!("{per_gib:.1} s/GiB ({wall:.1} s, {gib:.2} GiB, {floors:.1} floors)"))
    });
    chart(
        &mut html,
        "Wall seconds for each GiB of raw files",
        "A level line is a run that grows as its data.",
        &growth,
    );
    let memory = by_world(&|world| mib(world.run.usage.peak_bytes));
    chart(&mut html, "Peak resident memory", "", &memory);
    if let Some(world) = worlds.last() {
        stages(&mut html, &world.run);
    }
    let forecasts = worlds.iter().filter_map(|world| {
        let expected = world.forecast?;
        Some([
            Bar::new(format!("scale {}, forecast", world.scale), expected.cost.cpu_seconds, said(&expected)),
            Bar::new(
                format!("scale {}, measured", world.scale),
                world.run.usage.cpu_seconds,
                format!("{:.1} CPU s, {:.1} s", world.run.usage.cpu_seconds, world.run.usage.wall_seconds),
            ),
        ])
    });
    let note = "What the run of the world before let expect of the next.";
    chart(&mut html, "Forecast and measurement, CPU seconds", note, &forecasts.flatten().collect::<Vec<_>>());
    let runs = |runs: &[RunResult]| -> Vec<Bar> {
        let base = worlds.last().map(|world| &world.run);
        base.filter(|_| !runs.is_empty()).into_iter().chain(runs).map(run_bar).collect()
    };
    chart(&mut html, "Less memory", "The last world, wall seconds.", &runs(&results.memory));
    chart(&mut html, "Clusters of this machine", "The last world, wall seconds.", &runs(&results.clusters));
    chart(&mut html, "Over a store", "The last world, wall seconds.", &runs(results.store.as_slice()));
    if let Some(day) = &results.day {
        let bars =
            [Bar::new("its own cost", day.forecast.wall_seconds, said(&day.forecast)), run_bar(&day.run)];
        let note =
            "Beside what that day's part of the daily stages and all other stages take in a whole run.";
        chart(&mut html, "One more day, wall seconds", note, &bars);
    }
    html
}

fn stages(html: &mut String, run: &RunResult) {
    let mut stages: Vec<_> = run.stages.iter().collect();
    stages.sort_by(|a, b| b.cost.cpu_seconds.total_cmp(&a.cost.cpu_seconds));
    let bars = stages.into_iter().take(STAGES_SHOWN).map(|stage| {
        let (cpu, wall) = (stage.cost.cpu_seconds, stage.wall_seconds);
        Bar::new(&stage.stage, cpu, format!("{cpu:.1} CPU s, {wall:.1} s"))
    });
    let title = format!("Stages of {}, CPU seconds", run.what);
    chart(html, &title, "Stages run side by side.", &bars.collect::<Vec<_>>());
}

fn run_bar(run: &RunResult) -> Bar {
    let usage = &run.usage;
    let (_, memory) = mib(run.executor_peak_bytes.unwrap_or(usage.peak_bytes));
    let said = format!("{:.1} s, {:.1} CPU s, {memory}", usage.wall_seconds, usage.cpu_seconds);
    Bar::new(&run.what, usage.wall_seconds, said)
}

fn said(expected: &Expectation) -> String {
    format!("{:.1} CPU s, {:.1} s", expected.cost.cpu_seconds, expected.wall_seconds)
}

fn mib(bytes: u64) -> (f64, String) {
    let mib = bytes as f64 / f64::from(1 << 20);
    (mib, format!("{mib:.0} MiB"))
}

/// A table of bars, the longest as wide as its column; nothing without bars.
fn chart(html: &mut String, title: &str, note: &str, bars: &[Bar]) {
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    if bars.is_empty() {
        return;
    }
    let _ = writeln!(html, "<h2>{}</h2>\n<p>{}</p>\n<table>", escape(title), escape(note));
    for bar in bars {
        let width = if most > 0.0 { 100.0 * bar.value / most } else { 0.0 };
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td class=\"bar\"><div style=\"width:{width:.1}%\"></div></td><td class=\"n\">{}</td></tr>",
            escape(&bar.label),
            escape(&bar.said)
        );
    }
    html.push_str("</table>\n");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
