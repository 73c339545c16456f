//! Figures as rows of a table that can be pasted into RESULTS.md.

use crate::load::{Run, Shape};

pub fn print_header() {
    println!(
        "| load | accepted/s | send p50 / p99 ms | delivery p50 / p99 ms | fsyncs/s | node CPU-s per 1,000 | \
         generator CPU-s per 1,000 | bytes written per message | refused / lost / doubled |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
}

pub fn print_run(shape: &Shape, run: &Run) {
    print_named(&name(shape), run);
}

/// As [`print_run`], of one of several systems.
pub fn print_run_of(system: &str, shape: &Shape, run: &Run) {
    print_named(&format!("{system}, {}", name(shape)), run);
}

fn print_named(name: &str, run: &Run) {
    println!(
        "| {} | {:.0} | {} | {} | {:.0} | {:.4} | {:.4} | {:.0} | {} / {} / {} |",
        name,
        run.accepted_per_second,
        percentiles(&run.send),
        percentiles(&run.delivery),
        run.per_second.fsyncs,
        run.node_cpu_per_thousand,
        run.own_cpu_per_thousand,
        run.bytes_written_per_message,
        run.refused,
        run.lost,
        run.doubled,
    );
}

/// The middle run of each load, by its rate; and how the first two loads compare, which shows the group commit.
pub fn print_medians(shapes: &[Shape], runs: &[(Shape, Run)]) {
    println!("\nThe median run of each load:\n");
    print_header();
    let mut rates = Vec::new();
    for shape in shapes {
        let mut of_shape: Vec<&Run> = runs.iter().filter(|(of, _)| of == shape).map(|(_, run)| run).collect();
        of_shape.sort_by(|a, b| a.accepted_per_second.total_cmp(&b.accepted_per_second));
        if let Some(run) = of_shape.get(of_shape.len() / 2) {
            print_run(shape, run);
            rates.push(run.accepted_per_second);
        }
    }
    if let [one, many, ..] = rates.as_slice() {
        println!(
            "\nGroup commit: 64 senders with one message in flight each reach {:.1} times the rate of one.",
            many / one
        );
    }
}

fn name(shape: &Shape) -> String {
    match shape {
        Shape::Closed { senders, in_flight } => format!("closed loop, {senders} senders × {in_flight} in flight"),
        Shape::Open { senders, rate } => format!("open loop, {rate}/s from {senders} senders"),
    }
}

pub fn percentiles(histogram: &hdrhistogram::Histogram<u64>) -> String {
    let ms = |quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
    format!("{:.2} / {:.2}", ms(0.5), ms(0.99))
}
