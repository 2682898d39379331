//! A Markov chain in continuous time: where it is in the long run, and after some time.

/// A chain of N states, by its rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chain<const N: usize> {
    /// How often it goes from one state (row) to another (column), per second of being there. Nothing on the diagonal.
    rates: [[f64; N]; N],
}

impl<const N: usize> Default for Chain<N> {
    fn default() -> Self {
        Self { rates: [[0.0; N]; N] }
    }
}

impl<const N: usize> Chain<N> {
    /// It goes from one state to another so often, per second of being there. What is no such thing adds nothing.
    pub fn add(&mut self, from: usize, to: usize, rate: f64) {
        if from < N && to < N && from != to && rate.is_finite() && rate > 0.0 {
            self.rates[from][to] += rate;
        }
    }

    /// The share of the time that it is in each state, in the long run. From each state there must be a way to the first one.
    ///
    /// The balance equations are solved by elimination without a subtraction (Grassmann, Taksar and Heyman), so that states of a billionth of the time are as exact
    /// as the others.
    #[must_use]
    pub fn steady(&self) -> [f64; N] {
        let mut rates = self.rates;
        for gone in (1..N).rev() {
            // The last state is left out: who would go there goes at once where it leads.
            let (left, last) = rates.split_at_mut(gone);
            let Some(leads) = last.first() else { continue };
            let out: f64 = leads[..gone].iter().sum();
            for (from, row) in left.iter_mut().enumerate() {
                let into = if out > 0.0 { row[gone] / out } else { 0.0 };
                row[gone] = into;
                for (to, (rate, lead)) in row.iter_mut().zip(leads).enumerate().take(gone) {
                    if to != from {
                        *rate += into * lead;
                    }
                }
            }
        }
        let mut share = [0.0; N];
        for state in 0..N {
            share[state] = if state == 0 { 1.0 } else { (0..state).map(|from| share[from] * rates[from][state]).sum() };
        }
        normal(share)
    }

    /// How likely it is in each state, so many seconds after it was in `start`.
    #[must_use]
    pub fn after(&self, start: usize, seconds: f64) -> [f64; N] {
        let seconds = if seconds > 0.0 { seconds.min(f64::MAX) } else { 0.0 };
        // So short a step that a few terms of the series are all, and so many doublings of it.
        let fastest = self.rates.iter().map(|row| row.iter().sum::<f64>()).fold(0.0, f64::max);
        let doublings = (fastest * seconds).log2().ceil().clamp(0.0, MAX_DOUBLINGS) as i32 + 1;
        let mut steps = self.step(seconds * 0.5_f64.powi(doublings), fastest);
        for _ in 0..doublings {
            steps = with_certainty(product(&steps, &steps));
        }
        steps.get(start).copied().unwrap_or([0.0; N])
    }

    /// How likely it goes from one state to another in so many seconds, which must be less than it stays anywhere, in the mean.
    fn step(&self, seconds: f64, fastest: f64) -> [[f64; N]; N] {
        // Jumps at the fastest state's pace, those of slower states partly to where they are: all terms are positive.
        let pace = fastest * seconds;
        let jump =
            with_certainty(self.rates.map(|row| row.map(|rate| if fastest > 0.0 { rate / fastest } else { 0.0 })));
        let mut power = with_certainty([[0.0; N]; N]);
        let mut weight = (-pace).exp();
        let mut sum = [[0.0; N]; N];
        for jumps in 1..=TERMS {
            for (row, of) in sum.iter_mut().zip(&power) {
                row.iter_mut().zip(of).for_each(|(cell, of)| *cell += weight * of);
            }
            power = product(&power, &jump);
            weight *= pace / f64::from(jumps);
        }
        with_certainty(sum)
    }
}

/// 2^400 steps are more than any time here has.
const MAX_DOUBLINGS: f64 = 400.0;
/// 2^-20/20! is nothing.
const TERMS: i32 = 20;

fn product<const N: usize>(left: &[[f64; N]; N], right: &[[f64; N]; N]) -> [[f64; N]; N] {
    let cell = |row: &[f64; N], column: usize| (0..N).map(|at| row[at] * right[at][column]).sum();
    left.map(|row| std::array::from_fn(|column| cell(&row, column)))
}

/// It is somewhere: what a row lacks of 1 is on its diagonal. So small chances stay exact, however many products follow.
fn with_certainty<const N: usize>(mut chances: [[f64; N]; N]) -> [[f64; N]; N] {
    for (state, row) in chances.iter_mut().enumerate() {
        row[state] = 0.0;
        let elsewhere: f64 = row.iter().sum();
        if elsewhere > 1.0 {
            *row = normal(*row);
        } else {
            row[state] = 1.0 - elsewhere;
        }
    }
    chances
}

fn normal<const N: usize>(share: [f64; N]) -> [f64; N] {
    let all: f64 = share.iter().sum();
    if all > 0.0 { share.map(|share| share / all) } else { share }
}
