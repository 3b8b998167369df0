// What all pictures are made of: text, lines and boxes as SVG, one look for light and dark (the reader's
// own preference decides; the background is painted, so a picture is legible on any page), colours and
// marks by contender, and axes whose ticks are round numbers.
// Invariant: every text goes through escapeText; a picture is one <svg> with <title> and <desc>.

import { contenderName } from './words.ts';

/** Light and dark colour of each contender; the same in every picture. */
const CONTENDER_COLOURS: Readonly<Record<string, readonly [string, string]>> = {
  'weir-af-xdp': ['#0969da', '#4493f8'],
  filter: ['#0969da', '#4493f8'],
  'weir-af-packet': ['#3aa0b8', '#76d3e8'],
  nftables: ['#bc4c00', '#f0883e'],
  haproxy: ['#8250df', '#b794f6'],
  nginx: ['#1a7f37', '#3fb950'],
  direct: ['#6e7781', '#9198a1'],
  'xdp-redirect': ['#9a6700', '#d29922'],
  'c-twin': ['#cf222e', '#f85149'],
  'C twin': ['#cf222e', '#f85149'],
};
const OTHER_COLOURS: readonly (readonly [string, string])[] = [
  ['#bf3989', '#db61a2'],
  ['#1b7c83', '#39c5cf'],
  ['#57606a', '#b1bac4'],
];

const NAMED = Object.keys(CONTENDER_COLOURS);

function colourIndex(contender: string): number {
  const named = NAMED.indexOf(contenderName(contender));
  if (named !== -1) return named;
  let sum = 0;
  for (const character of contender) sum += character.charCodeAt(0);
  return NAMED.length + (sum % OTHER_COLOURS.length);
}

/** Class of a box or mark that is filled with the contender's colour. */
export function fillClass(contender: string): string {
  return `f${colourIndex(contender)}`;
}

/** Class of a line in the contender's colour. */
export function strokeClass(contender: string): string {
  return `s${colourIndex(contender)}`;
}

function themeRules(shade: 0 | 1): string {
  const [back, ink, faint, grid] = [
    ['#ffffff', '#1f2328', '#59636e', '#d8dee4'],
    ['#0d1117', '#f0f6fc', '#9198a1', '#30363d'],
  ][shade];
  const colours = [...Object.values(CONTENDER_COLOURS), ...OTHER_COLOURS];
  const ofContenders = colours.map(
    (pair, i) => `.f${i}{fill:${pair[shade]}}.s${i}{stroke:${pair[shade]}}`,
  );
  return (
    `.back{fill:${back}}text{fill:${ink}}.faint{fill:${faint}}.grid{stroke:${grid}}` +
    `.axis{stroke:${faint}}.whisker{stroke:${ink}}.halo,.over{stroke:${back}}${ofContenders.join('')}`
  );
}

const STYLE =
  'text{font-family:system-ui,-apple-system,"Segoe UI",Helvetica,Arial,"DejaVu Sans",sans-serif;' +
  'font-size:13px}.heading{font-size:17px;font-weight:600}.panel{font-weight:600}' +
  '.small{font-size:12px}.line{fill:none;stroke-width:2.25;stroke-linejoin:round}' +
  '.grid,.axis,.whisker{stroke-width:1;fill:none}.whisker{stroke-width:1.25;opacity:.75}' +
  '.halo{stroke-width:1.5}.over{paint-order:stroke;stroke-width:4}' +
  `${themeRules(0)}@media (prefers-color-scheme:dark){${themeRules(1)}}`;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

export function escapeText(text: string): string {
  // Characters that XML does not allow at all would make the whole picture unreadable.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  return text.replace(/[\u0000-\u0008\u000b-\u001f]/g, '').replace(/[&<>"]/g, (c) => ENTITIES[c]);
}

/** A coordinate, to a tenth of a pixel. */
export function at(value: number): string {
  return String(Number(value.toFixed(1)));
}

export type Anchor = 'start' | 'middle' | 'end';

export function textAt(
  x: number,
  y: number,
  text: string,
  classes = '',
  anchor: Anchor = 'start',
): string {
  const withClass = classes === '' ? '' : ` class="${classes}"`;
  const withAnchor = anchor === 'start' ? '' : ` text-anchor="${anchor}"`;
  return `<text x="${at(x)}" y="${at(y)}"${withClass}${withAnchor}>${escapeText(text)}</text>`;
}

export function lineFrom(x1: number, y1: number, x2: number, y2: number, classes: string): string {
  return `<path d="M${at(x1)} ${at(y1)}L${at(x2)} ${at(y2)}" class="${classes}"/>`;
}

/** How wide a text is about to be; fonts differ, so on the safe side. */
export function textWidth(text: string, fontSize = 13): number {
  return text.length * fontSize * 0.6;
}

/** The n-th kind of mark on a line: colour is not all that tells lines apart. */
export function markAt(kind: number, x: number, y: number, classes: string): string {
  const size = 4.5;
  const shapes = [
    `M${at(x - size)} ${at(y)}a${size} ${size} 0 1 0 ${size * 2} 0a${size} ${size} 0 1 0 ${-size * 2} 0z`,
    `M${at(x - 4)} ${at(y - 4)}h8v8h-8z`,
    `M${at(x)} ${at(y - 5.5)}l5.5 5.5l-5.5 5.5l-5.5 -5.5z`,
    `M${at(x)} ${at(y - 5)}l5.2 9h-10.4z`,
    `M${at(x)} ${at(y + 5)}l5.2 -9h-10.4z`,
  ];
  return `<path d="${shapes[kind % shapes.length]}" class="${classes} halo"/>`;
}

/** Round numbers that cover `low` to `high`, about as many as wanted. */
export function niceTicks(low: number, high: number, wanted = 5): number[] {
  const range = high - low > 0 ? high - low : 1;
  const rough = range / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= rough * 0.999);
  const size = step as number;
  const first = Math.floor(low / size + 1e-9);
  const last = Math.ceil(high / size - 1e-9);
  const count = Math.max(1, last - first);
  // Multiples rather than sums, which would bring 0.30000000000000004.
  return Array.from({ length: count + 1 }, (_, i) => Number(((first + i) * size).toPrecision(12)));
}

export interface PictureParts {
  readonly title: string;
  /** What there is to see, for those who cannot. */
  readonly description: string;
  readonly width: number;
  readonly height: number;
  readonly body: readonly string[];
}

/** A whole SVG file. */
export function picture({ title, description, width, height, body }: PictureParts): string {
  const size = `width="${at(width)}" height="${at(height)}" viewBox="0 0 ${at(width)} ${at(height)}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-labelledby="title desc">`,
    `<title id="title">${escapeText(title)}</title>`,
    `<desc id="desc">${escapeText(description)}</desc>`,
    `<style>${STYLE}</style>`,
    `<rect width="${at(width)}" height="${at(height)}" rx="6" class="back"/>`,
    ...body,
    '</svg>',
    '',
  ].join('\n');
}
