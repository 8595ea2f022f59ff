import { ConfigError } from "@latentkit/core";

/** What to do about a configuration of an architecture that there is not, or with a feature that is not supported. */
const addOne = 'the recipe "Add a model family" in CONTRIBUTING.md says how to add what is missing';

/** `MODEL_UNSUPPORTED`: the model has something, `given`, in place of which only `supported` works. */
export function configUnsupported(
  given: string,
  supported: string,
  where: string | undefined,
): ConfigError {
  return new ConfigError({
    code: "MODEL_UNSUPPORTED",
    message: `the model has ${given}; supported is ${supported}`,
    fix: `use a model without this, or one of another family; ${addOne}`,
    where,
  });
}

/** `CONFIG_INVALID`: fields that are missing, of the wrong type, or contradict each other. */
export function configInvalid(message: string, where: string | undefined): ConfigError {
  return new ConfigError({
    code: "CONFIG_INVALID",
    message: `the model's configuration is not valid: ${message}`,
    fix: "use the config.json that came with the weights",
    where,
  });
}
