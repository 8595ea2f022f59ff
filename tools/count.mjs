// Turns vitest's JSON report into the one line that ends every test run.

/**
 * @typedef {object} Report The parts of vitest's JSON report that are counted.
 * @property {boolean} success
 * @property {readonly { name: string, status: string, message?: string,
 *   assertionResults: readonly { status: string, fullName: string }[] }[]} testResults
 */

/** @typedef {{ passed: number, failed: number, skipped: number, failures: string[], skips: string[] }} Count */

/**
 * Counts every test once. A file that failed without a failed test of its own (an import or collection error, a hook) counts
 * as one failure, and so do errors outside of any test, a run of no tests, and a report that was never written.
 *
 * @param {Report | null} report
 * @param {{ exitCode: number, mayBeEmpty?: boolean }} run
 * @returns {Count}
 */
export function countTests(report, { exitCode, mayBeEmpty = false }) {
  /** @type {Count} */
  const count = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };
  for (const file of report?.testResults ?? []) {
    let failedHere = 0;
    for (const { status, fullName } of file.assertionResults) {
      if (status === "passed") count.passed += 1;
      else if (status === "failed") {
        failedHere += 1;
        count.failures.push(`${file.name}: ${fullName}`);
      } else {
        count.skipped += 1;
        count.skips.push(`${file.name}: ${fullName}`);
      }
    }
    if (file.status === "failed" && failedHere === 0) {
      failedHere = 1;
      count.failures.push(
        `${file.name}: the file itself failed${file.message ? `: ${file.message}` : ""}`,
      );
    }
    count.failed += failedHere;
  }
  if (report === null) {
    count.failed += 1;
    count.failures.push("vitest ended without a report");
  } else if (count.failed === 0 && count.passed === 0 && !mayBeEmpty) {
    count.failed += 1;
    count.failures.push(count.skipped > 0 ? "every test was skipped" : "no tests were found");
  } else if (
    count.failed === 0 &&
    (exitCode !== 0 || !report.success) &&
    count.passed + count.skipped > 0
  ) {
    count.failed += 1;
    count.failures.push(
      `vitest ended with exit code ${exitCode} although no test failed: an error outside of the tests`,
    );
  }
  return count;
}

/** @param {Pick<Count, "passed" | "failed" | "skipped">} count */
export function countLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}
