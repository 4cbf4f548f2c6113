import { posix } from 'node:path';

// The lengths are bounded so that no text, however odd, makes the search slow.
const STATIC = /^[ \t]*(?:import|export)\b(?:[^'"`;]{0,2000}?\bfrom)?\s{0,20}['"]([^'"\r\n]{1,300})['"]/gm;
const DYNAMIC = /\b(?:import|require)\(\s{0,20}['"]([^'"\r\n]{1,300})['"]\s{0,20}\)/g;
const DECLARED =
  /^[ \t]*export\s+(?:declare\s+)?(?:default\s+)?(?:abstract\s+)?(?:async\s+)?(?:const\s+enum|const|let|var|function\*?|class|interface|type|enum|namespace)\s+([\p{L}_$][\p{L}\p{N}_$]{0,100})/gmu;
const LISTED = /^[ \t]*export\s+(?:type\s+)?\{([^}]{0,5000})\}/gm;
const DEFAULT = /^[ \t]*export\s+default\b/m;
const COMMON_JS = /^[ \t]*(?:module\.)?exports\.([\w$]{1,100})\s*=/gm;

/** The modules that a source file names, each once: read by pattern, which is enough for a picture. */
export function importsOf(path: string, text: string): string[] {
  const found = [...text.matchAll(STATIC), ...text.matchAll(DYNAMIC)].map(([, module = '']) => module);
  return [...new Set(found.map((module) => fromRoot(path, module)))];
}

export function exportsOf(text: string): string[] {
  const names = [...text.matchAll(DECLARED), ...text.matchAll(COMMON_JS)].map(([, name = '']) => name);
  for (const [, list = ''] of text.matchAll(LISTED)) {
    // The name after `as` is the one that others see.
    names.push(...list.split(',').map((entry) => entry.trim().split(/\s+/).at(-1) ?? ''));
  }
  if (DEFAULT.test(text)) names.push('default');
  return [...new Set(names)].filter((name) => name !== '');
}

/** ../tasks/task.js in agents/agent.ts is ./tasks/task.js; a package keeps its name. */
function fromRoot(path: string, module: string): string {
  if (!module.startsWith('.')) return module;
  const target = posix.join(posix.dirname(path), module);
  return target.startsWith('..') ? target : `./${target}`;
}

/** The file of the folder that an import means: TypeScript writes .js where the file is .ts. */
export function fileOf(module: string, files: ReadonlySet<string>): string | null {
  if (!module.startsWith('./')) return null;
  const path = module.slice(2);
  const bare = path.replace(/\.[cm]?jsx?$/, '');
  const candidates = [path];
  for (const extension of ['.ts', '.tsx', '.mts', '.cts', '.js', '.jsx', '.mjs', '.cjs', '.json']) {
    candidates.push(bare + extension, path + extension, `${path}/index${extension}`);
  }
  return candidates.find((candidate) => files.has(candidate)) ?? null;
}
