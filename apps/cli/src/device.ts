import { ConfigError } from "@latentkit/core";
import { type DeviceChoice, openDevice, profileDevice } from "@latentkit/device";
import type { Device } from "@latentkit/tensor";
import { profileTable } from "./doctor/webgpu.ts";
import { printTable } from "./output.ts";
import { runStage } from "./stage.ts";
import type { Terminal } from "./terminal.ts";

/** What a command was told of the device to compute on. */
export interface DeviceOptions {
  /** `--device`; without it the CPU, and nothing is said of it. */
  readonly device?: DeviceChoice | undefined;
  /** `--profile`. */
  readonly profile?: boolean | undefined;
  readonly quiet: boolean;
}

/**
 * Opens the device that a command computes on, and says on stderr which it is and why. The caller disposes it.
 *
 * Throws `ConfigError` `USAGE_PROFILE` where a profile was asked for and the device is not WebGPU, and what `openDevice` throws.
 */
export async function openChosenDevice(
  terminal: Terminal,
  { device: asked, profile = false, quiet }: DeviceOptions,
): Promise<Device> {
  // What is known from the flags alone is refused before anything is opened.
  if (profile && asked !== "webgpu" && asked !== "auto") throw unprofiled("the CPU");
  const open = () => openDevice(asked ?? "cpu");
  const { device, report } =
    asked === undefined
      ? await open()
      : await runStage(
          terminal,
          {
            title: "device",
            quiet,
            summary: (opened) => `${opened.report.chosen}, because ${opened.report.why}`,
          },
          open,
        );
  if (!profile || report.chosen === "webgpu") return device;
  device.dispose();
  throw unprofiled(`the CPU, because ${report.why}`);
}

/**
 * Does `work`. With `--profile` its kernels are timed, and their table goes to stderr once it is done.
 *
 * Throws what `profileDevice` and `work` throw.
 */
export async function withProfile<T>(
  terminal: Terminal,
  device: Device,
  { profile = false }: Pick<DeviceOptions, "profile">,
  work: () => Promise<T>,
): Promise<T> {
  if (!profile) return work();
  const { result, kernels } = await profileDevice(device, work);
  printTable(terminal.stderr, profileTable(kernels));
  return result;
}

function unprofiled(chosen: string): ConfigError {
  return new ConfigError({
    code: "USAGE_PROFILE",
    message: `--profile times kernels of WebGPU, but the device is ${chosen}`,
    fix: "add --device webgpu, or leave --profile out; `latentkit doctor` says whether WebGPU is here",
    where: "--profile",
  });
}
