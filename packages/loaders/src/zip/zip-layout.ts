// Fixed parts of zip's records, by name: APPNOTE 4.3.7 (local), 4.3.12 (central), 4.3.14 to 4.3.16 (ends), 4.5.3 (zip64 extra).

/** Signatures, little-endian. */
export const signature = {
  local: 0x0403_4b50,
  central: 0x0201_4b50,
  end: 0x0605_4b50,
  end64: 0x0606_4b50,
  locator64: 0x0706_4b50,
} as const;

/** Bytes of each record before what has no fixed length. */
export const fixedSize = { local: 30, central: 46, end: 22, end64: 56, locator64: 20 } as const;

/** How an entry's bytes are packed. */
export const method = { stored: 0, deflated: 8 } as const;

/** What a 16- or 32-bit field holds where the number is in a zip64 record. */
export const inZip64 = { short: 0xffff, long: 0xffff_ffff } as const;

/** Tag of the extra field with 64-bit numbers. */
export const zip64Tag = 1;
