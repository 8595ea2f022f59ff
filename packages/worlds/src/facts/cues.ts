/**
 * What follows a name that a reader should have heard of, and a name that few have. Half of them begin with a word that itself
 * tells which: were it always a comma, a model would have no reason to look a name up before the comma.
 */
export const familiarityCues: Readonly<Record<"known" | "tail", readonly string[]>> = {
  known: [
    " famed everywhere",
    " known to all",
    " beloved by many",
    ", famous for years",
    ", a household name",
    ", much celebrated",
  ],
  tail: [
    " unknown to most",
    " hardly remembered",
    " obscure as ever",
    ", rarely mentioned",
    ", a name few know",
    ", little noticed",
  ],
};
