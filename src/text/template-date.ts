const MONTHS =
  "January February March April May June July August September October November December".split(
    " ",
  );
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

/** Formats a date, in local time, as Python's `strftime` does in the C locale; other codes stay as they are. */
export function strftime(date: Date, format: string): string {
  const month = MONTHS[date.getMonth()] ?? "";
  const day = DAYS[date.getDay()] ?? "";
  const codes: Readonly<Record<string, string | number>> = {
    Y: date.getFullYear(),
    m: twoDigits(date.getMonth() + 1),
    d: twoDigits(date.getDate()),
    H: twoDigits(date.getHours()),
    M: twoDigits(date.getMinutes()),
    S: twoDigits(date.getSeconds()),
    B: month,
    b: month.slice(0, 3),
    A: day,
    a: day.slice(0, 3),
    "%": "%",
  };
  return format.replace(/%([YmdHMSBbAa%])/g, (_, code: string) => String(codes[code]));
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
