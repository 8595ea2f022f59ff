const months =
  "January February March April May June July August September October November December";
const days = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday";

/**
 * A date in words, as Python's `strftime` in the C locale, whatever the machine's language: `%a %A %b %B %d %H %I %j %m %M %p %S %y
 * %Y %%`. Other directives stay as they are.
 */
export function strftime(date: Date, format: string): string {
  const padded = (value: number, width = 2): string => String(value).padStart(width, "0");
  const month = months.split(" ")[date.getMonth()] ?? "";
  const day = days.split(" ")[date.getDay()] ?? "";
  const dayOfYear = (): number => {
    const today = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
    return (today - Date.UTC(date.getFullYear(), 0, 0)) / 86_400_000;
  };
  const parts: Readonly<Record<string, () => string>> = {
    a: () => day.slice(0, 3),
    A: () => day,
    b: () => month.slice(0, 3),
    B: () => month,
    d: () => padded(date.getDate()),
    H: () => padded(date.getHours()),
    I: () => padded(date.getHours() % 12 === 0 ? 12 : date.getHours() % 12),
    j: () => padded(dayOfYear(), 3),
    m: () => padded(date.getMonth() + 1),
    M: () => padded(date.getMinutes()),
    p: () => (date.getHours() < 12 ? "AM" : "PM"),
    S: () => padded(date.getSeconds()),
    y: () => padded(date.getFullYear() % 100),
    Y: () => String(date.getFullYear()),
    "%": () => "%",
  };
  return format.replaceAll(
    /%([a-zA-Z%])/g,
    (directive, letter: string) => parts[letter]?.() ?? directive,
  );
}
