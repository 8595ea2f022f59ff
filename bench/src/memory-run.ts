/** What a fresh process prints about its memory. */
export interface MemoryRun {
  /** Most that was resident, of the whole process. */
  readonly peakBytes: number;
  /** Most that the device's tensors took at once. */
  readonly deviceBytes: number;
}
