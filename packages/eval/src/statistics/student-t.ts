/**
 * P(T <= t) of Student's distribution with a whole number of degrees of freedom, by its finite series (Abramowitz and Stegun, 26.7.3
 * and 26.7.4).
 */
export function studentCumulative(t: number, degrees: number): number {
  if (t === Number.POSITIVE_INFINITY) return 1;
  if (t === Number.NEGATIVE_INFINITY) return 0;
  const angle = Math.atan(Math.abs(t) / Math.sqrt(degrees));
  const [sine, square] = [Math.sin(angle), Math.cos(angle) ** 2];
  const odd = degrees % 2 === 1;
  // Terms of the series: cos, cos^3 2/3, ... where odd; 1, cos^2 1/2, cos^4 1 3 / (2 4), ... where even.
  let term = odd ? Math.cos(angle) : 1;
  let series = 0;
  for (let index = odd ? 1 : 0; index <= degrees - 2; index += 2) {
    series += term;
    term *= (square * (index + 1)) / (index + 2);
  }
  const within = odd ? (2 / Math.PI) * (angle + sine * series) : sine * series;
  return t >= 0 ? (1 + within) / 2 : (1 - within) / 2;
}

/** The t with P(T <= t) = probability, for a probability between 0 and 1, by bisection. */
export function studentQuantile(probability: number, degrees: number): number {
  if (probability < 0.5) return -studentQuantile(1 - probability, degrees);
  let [low, high] = [0, 1];
  while (studentCumulative(high, degrees) < probability && high < 1e15) high *= 2;
  for (let round = 0; round < 200 && high - low > 1e-15 * high; round++) {
    const middle = (low + high) / 2;
    if (studentCumulative(middle, degrees) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
