// The program's source as syntax trees, for the test that holds hot functions to their rules
// (hot-rules.ts): files parsed once, what each declares and imports by name, and which doc comment stands
// before what. The parser is oxc's, by itself: names and types are resolved by hot-types.ts.

import { posix } from 'node:path';
import * as oxc from 'oxc-parser';

export type Declaration =
  | oxc.Function
  | oxc.Class
  | oxc.TSInterfaceDeclaration
  | oxc.TSTypeAliasDeclaration
  | oxc.VariableDeclarator;

/** Between a doc comment and what it is of: white space and `export`. */
const LONGEST_GAP = 200;

interface Import {
  /** File that it comes from, or a package's name. */
  readonly path: string;
  /** Its name there; '*' for the whole module. */
  readonly name: string;
}

export class SourceTree {
  readonly path: string;
  readonly text: string;
  readonly program: oxc.Program;
  /** What stands at the top of the file, by name. */
  readonly declarations = new Map<string, Declaration>();
  readonly imports = new Map<string, Import>();
  /** Doc comments that bear @hot, by their end. */
  readonly hotMarks = new Map<number, oxc.Comment>();

  constructor(path: string, text: string) {
    this.path = path;
    this.text = text;
    const parsed = oxc.parseSync(path, text, { lang: 'ts', astType: 'ts', sourceType: 'module' });
    if (parsed.errors.length > 0) throw new Error(`${path}: ${parsed.errors[0].message}`);
    this.program = parsed.program;
    for (const comment of parsed.comments) {
      const isDocument = comment.type === 'Block' && comment.value.startsWith('*');
      if (isDocument && /@hot\b/.test(comment.value)) this.hotMarks.set(comment.end, comment);
    }
    for (const statement of this.program.body) this.addStatement(statement);
  }

  private addStatement(statement: oxc.Program['body'][number]): void {
    if (statement.type === 'ImportDeclaration') {
      this.addImports(statement);
      return;
    }
    const declaration =
      statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement;
    switch (declaration?.type) {
      case 'FunctionDeclaration':
      case 'ClassDeclaration':
      case 'TSInterfaceDeclaration':
      case 'TSTypeAliasDeclaration':
        if (declaration.id !== null) this.declarations.set(declaration.id.name, declaration);
        break;
      case 'VariableDeclaration':
        for (const each of declaration.declarations) {
          if (each.id.type === 'Identifier') this.declarations.set(each.id.name, each);
        }
    }
  }

  private addImports({ source, specifiers }: oxc.ImportDeclaration): void {
    const from = source.value;
    const path = from.startsWith('.') ? posix.join(posix.dirname(this.path), from) : from;
    for (const specifier of specifiers) {
      let name = '*';
      if (specifier.type === 'ImportSpecifier') {
        const { imported } = specifier;
        name = imported.type === 'Literal' ? imported.value : imported.name;
      } else if (specifier.type === 'ImportDefaultSpecifier') name = 'default';
      this.imports.set(specifier.local.name, { path, name });
    }
  }

  /** The @hot doc comment that ends just before `start`, or undefined. */
  hotMarkBefore(start: number): oxc.Comment | undefined {
    const from = Math.max(0, start - LONGEST_GAP);
    const before = this.text.slice(from, start).replace(/(?:\b(?:export|default)\s+)*$/, '');
    return this.hotMarks.get(from + before.trimEnd().length);
  }

  /** Counted from 1. */
  lineAt(offset: number): number {
    return this.text.slice(0, offset).split('\n').length;
  }

  textOf({ start, end }: { readonly start: number; readonly end: number }): string {
    return this.text.slice(start, end).replace(/\s+/g, ' ');
  }
}

/** Every node directly below `node`, in the order of the text. */
export function childrenOf(node: oxc.Node): oxc.Node[] {
  const found: oxc.Node[] = [];
  for (const key of oxc.visitorKeys[node.type] ?? []) {
    const value = (node as unknown as Record<string, oxc.Node | (oxc.Node | null)[] | null>)[key];
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== null && each !== undefined) found.push(each);
    }
  }
  return found;
}
