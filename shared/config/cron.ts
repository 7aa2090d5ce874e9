/** The fields of a cron expression: what a number in them may be, and the names that stand for numbers. */
const fields: readonly {
  readonly least: number;
  readonly most: number;
  readonly names: readonly string[];
}[] = [
  { least: 0, most: 59, names: [] },
  { least: 0, most: 23, names: [] },
  { least: 1, most: 31, names: [] },
  {
    least: 1,
    most: 12,
    names: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
  },
  { least: 0, most: 7, names: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];
const [daysField, monthsField] = [2, 3];
const longestMonths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * Whether a text is a cron expression of five fields (numbers, names, `*`, ranges, steps, lists) that begins some day.
 * The reader of expressions itself is not asked: only what deploys holds it, and the configuration is checked everywhere.
 */
export function isCron(text: string): boolean {
  const parts = text.trim().split(/\s+/);
  if (parts.length !== fields.length) return false;
  const read = parts.map((part, index) => valuesOf(part, index));
  if (read.some((values) => values === undefined)) return false;
  const [, , days = [], months = []] = read as readonly (readonly number[])[];
  // A weekday begins in every month.
  if (parts[daysField] === "*" || parts[4] !== "*") return true;
  return months.some((month) => days.some((day) => day <= (longestMonths[month - 1] ?? 0)));
}

/** The numbers that a field stands for; `undefined`: it cannot be read. */
function valuesOf(part: string, index: number): readonly number[] | undefined {
  const field = fields[index];
  if (field === undefined) return undefined;
  const { least, most } = field;
  const all: number[] = [];
  for (const item of part.split(",")) {
    const [, from = "", to, step = "1"] =
      /^(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:\/(\d{1,2}))?$/.exec(item.toLowerCase()) ?? [];
    const first = from === "*" ? least : numberOf(from, index);
    const last = to !== undefined ? numberOf(to, index) : from === "*" ? most : first;
    if (first === undefined || last === undefined || first > last) return undefined;
    if (Number(step) < 1 || Number(step) > most) return undefined;
    // Steps are taken in a range.
    const isOne = from !== "*" && to === undefined;
    if ((from === "*" && to !== undefined) || (isOne && item.includes("/"))) return undefined;
    for (let value = first; value <= last; value += Number(step)) all.push(value);
  }
  return all;
}

function numberOf(text: string, index: number): number | undefined {
  const field = fields[index];
  if (field === undefined) return undefined;
  const named = field.names.indexOf(text);
  if (named !== -1) return named + (index === monthsField ? 1 : 0);
  const number = /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  return number >= field.least && number <= field.most ? number : undefined;
}
