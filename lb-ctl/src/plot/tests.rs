//! Charts, as they are drawn.

use super::*;

fn chart(curves: Vec<Curve>, marks: Vec<Mark>) -> Chart {
    Chart {
        title: "A & B".to_owned(),
        x: Axis { label: "interval", ticks: Ticks::Time, words: scale::time },
        y: Axis { label: "cost", ticks: Ticks::Powers, words: |cost| format!("{cost:.0e}") },
        curves,
        marks,
    }
}

/// y = 1/x from 1 ms to 1000 s.
fn falling() -> Curve {
    let points = (0..=60).map(|step| 10_f64.powf(-3.0 + f64::from(step) / 10.0));
    Curve::new("falls", '*', points.map(|x| (x, 1.0 / x)))
}

fn mark(at: f64) -> Mark {
    Mark { name: "here".to_owned(), at }
}

#[test]
fn a_power_of_x_is_a_straight_line() {
    let drawn = text(&chart(vec![falling()], vec![]));
    let rows: Vec<&str> = drawn.lines().filter(|line| line.contains('*') && !line.contains("falls")).collect();
    assert_eq!(rows.len(), 16, "{drawn}");
    let columns = |row: &str| row.chars().skip_while(|sign| !"│┤".contains(*sign)).skip(1).position(|sign| sign == '*');
    let begins: Vec<usize> = rows.iter().map(|row| columns(row).unwrap()).collect();
    assert_eq!((begins[0], rows[15].chars().last()), (0, Some('*')), "{drawn}");
    let steps = begins[1..].windows(2).map(|pair| pair[1] - pair[0]);
    assert!(steps.clone().all(|step| (4..=5).contains(&step)), "{drawn}");
}

#[test]
fn as_text_it_has_ticks_labels_and_marks() {
    let drawn = text(&chart(vec![falling()], vec![mark(1.0), mark(1e9)]));
    for wanted in
        ["A & B\n", "\ncost\n", "1e3 ┤*", "1e0 ┤", "1e-3 ┤", "1 ms", "1 s", "10 min", "interval\n", "* falls\n: here\n"]
    {
        assert!(drawn.contains(wanted), "no {wanted} in:\n{drawn}");
    }
    assert_eq!(drawn.matches(": here").count(), 1, "a mark that is not on the axis");
    let middle = drawn.lines().filter(|line| line.contains('┤') || line.contains('│'));
    assert!(middle.clone().count() == 16 && middle.clone().filter(|line| line.contains(':')).count() >= 15, "{drawn}");
    assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
}

#[test]
fn as_svg_it_is_well_formed_and_says_the_same() {
    let drawn = svg(&chart(vec![falling()], vec![mark(1.0), mark(900.0), mark(1e9)]));
    for wanted in [
        "<title>A &amp; B</title>",
        ">interval<",
        ">cost<",
        ">1 s<",
        ">1e0<",
        ">falls<",
        "<polyline points=\"100.0,50.0 ",
    ] {
        assert!(drawn.contains(wanted), "no {wanted} in:\n{drawn}");
    }
    assert_eq!(drawn.matches(">here<").count(), 2);
    assert!(drawn.contains("text-anchor=\"end\">here<"), "a mark at the right edge has its name on its left");
    assert_eq!(drawn.matches("<text").count(), drawn.matches("</text>").count());
    assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"));
    assert!(!drawn.contains("NaN") && !drawn.contains("inf"));
}

#[test]
fn what_cannot_be_drawn_is_left_out() {
    let no_places = [(1.0, 0.0), (2.0, f64::NAN), (f64::INFINITY, 2.0), (-1.0, 1.0)];
    let nothing = chart(vec![Curve::new("none", '*', no_places.into_iter())], vec![mark(1.0)]);
    assert_eq!(text(&nothing), "A & B: there is nothing to draw.\n");
    assert!(svg(&nothing).contains("nothing to draw"));
    // What comes in no order is put in order.
    let mixed = no_places.into_iter().chain([(8.0, 1.0), (2.0, 1e3), (4.0, 1e-9)]);
    let some = chart(vec![Curve::new("some", '*', mixed)], vec![mark(f64::NAN), mark(4.0)]);
    let drawn = svg(&some);
    assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
    assert!(drawn.contains("points=\"100.0,50.0 420.0,360.0 740.0,"), "{drawn}");
    assert!(text(&some).ends_with("* some\n: here\n"));
}

#[test]
fn an_axis_has_some_ticks_and_not_too_many() {
    let ticks = |low: f64, high: f64, ticks| scale::Range::of([low, high].into_iter()).unwrap().ticks(ticks);
    assert_eq!(ticks(0.9, 700.0, Ticks::Time), [1.0, 10.0, 60.0, 600.0]);
    assert_eq!(ticks(0.9, 6.0, Ticks::Powers), [1.0, 2.0, 5.0]);
    assert!((3..=10).contains(&ticks(1e-9, 1e12, Ticks::Time).len()));
    assert!((3..=10).contains(&ticks(1e-300, 1e300, Ticks::Powers).len()));
    assert!(ticks(5.0, 5.0, Ticks::Time).len() <= 10);
}
