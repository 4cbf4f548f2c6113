/** What a terminal or a reader of lines would obey instead of showing: CR, LF, escape sequences, line separators. */
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;
/** The same, but for the end of a line. */
// oxlint-disable-next-line no-control-regex
const CONTROL_WITHIN_LINE = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/g;

const escape = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Text as one line, whatever it holds: a client's words must not look like a line of ours. */
export const oneLine = (text: string): string => text.replace(CONTROL, escape);

/** Text of several lines, e.g. a stack: none but the first begins where a line of the log does. */
export const indented = (text: string): string =>
  text.replace(CONTROL_WITHIN_LINE, escape).replace(/\n(?=\S)/g, '\n    ');
