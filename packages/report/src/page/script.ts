/**
 * Filters and sorts the latents. Plain and small, and only ever reads what the page already shows; without it everything is
 * there, in order of density. The page's policy allows this text by its hash and no other script.
 */
export const pageScript = `(() => {
  const list = document.querySelector("[data-latents]");
  const controls = document.querySelector(".controls");
  if (!list || !controls) return;
  const cards = Array.from(list.children).map((card) => ({ card, text: card.textContent.toLowerCase(), data: card.dataset }));
  const [query, kind, order, count] = ["q", "kind", "order", "count"].map((name) => controls.querySelector("[name=" + name + "]"));
  const update = () => {
    const words = query.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let shown = 0;
    for (const { card, text, data } of cards) {
      const fits = words.every((word) => (word[0] === "#" ? "#" + data.latent === word : text.includes(word)));
      const fitting = fits && (kind.value === "" || data.kinds.split(" ").includes(kind.value));
      card.hidden = !fitting;
      if (fitting) shown++;
    }
    count.value = shown + " of " + cards.length + " shown";
  };
  const sort = () => {
    const [key, sign] = order.value === "latent" ? ["latent", 1] : [order.value, -1];
    cards.sort((a, b) => sign * (Number(a.data[key]) - Number(b.data[key])));
    list.append(...cards.map(({ card }) => card));
  };
  query.addEventListener("input", update);
  kind.addEventListener("change", update);
  order.addEventListener("change", sort);
  addEventListener("hashchange", () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target && target.hidden) { query.value = ""; kind.value = ""; update(); target.scrollIntoView(); }
  });
  controls.hidden = false;
  update();
})();`;

/** Base64 SHA-256 of {@link pageScript}, which a test recomputes: the package needs no hash function at run time. */
export const pageScriptHash = "rqgMZUNnY3in90ZgjRthewGdzoRYQvhCfEdgl4aRzHQ=";
