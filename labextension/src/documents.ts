/** The documents that are open in the application, and what is in front. */

import { JupyterFrontEnd } from '@jupyterlab/application';
import { DocumentRegistry } from '@jupyterlab/docregistry';
import { Widget } from '@lumino/widgets';

import { ISavable } from './saving';

/** Everywhere a document may lie; each shell has only some of them. */
const AREAS = ['main', 'left', 'right', 'down', 'header', 'top', 'bottom'];

type Context = DocumentRegistry.Context;

/** What a notebook, a console or a terminal has that tells which kernel or terminal it uses. */
interface ISessionHolder {
  sessionContext?: {
    session?: { kernel?: { id: string } | null } | null;
  };
  console?: ISessionHolder;
  content?: ISessionHolder & {
    session?: { name?: unknown };
    hasClass?: (name: string) => boolean;
  };
  context?: ISessionHolder;
}

function widgetsIn(shell: JupyterFrontEnd.IShell, area: string): Widget[] {
  try {
    return [...shell.widgets(area)];
  } catch {
    return []; // a shell throws at an area that it does not have
  }
}

function contextOf(widget: Widget): Context | null {
  const { context } = widget as Widget & { context?: Context };
  return context !== undefined &&
    typeof context.save === 'function' &&
    context.model !== undefined
    ? context
    : null;
}

class OpenDocument implements ISavable {
  constructor(private readonly _context: Context) {}

  get name(): string {
    return this._context.path;
  }

  get hasUnsavedChanges(): boolean {
    const { model, isDisposed } = this._context;
    return !isDisposed && model.dirty;
  }

  save(): Promise<void> {
    const { model, contentsModel } = this._context;
    if (model.readOnly || contentsModel?.writable === false) {
      return Promise.reject(new Error(`${this.name} is read-only`));
    }
    return this._context.save();
  }
}

/** List the open documents, each once however many views it has. */
export function openDocuments(shell: JupyterFrontEnd.IShell): ISavable[] {
  const contexts = new Set<Context>();
  for (const area of AREAS) {
    for (const widget of widgetsIn(shell, area)) {
      const context = contextOf(widget);
      if (context !== null) {
        contexts.add(context);
      }
    }
  }
  return [...contexts].map(context => new OpenDocument(context));
}

function kernelIdOf(holder: ISessionHolder | undefined): string | undefined {
  return holder?.sessionContext?.session?.kernel?.id;
}

/** Return `kernel:<id>` or `terminal:<name>` of what is in front; undefined: neither. */
export function resourceInFront(
  shell: JupyterFrontEnd.IShell
): string | undefined {
  const widget = shell.currentWidget as (Widget & ISessionHolder) | null;
  if (widget === null) {
    return undefined;
  }
  const kernel =
    kernelIdOf(widget.context) ??
    kernelIdOf(widget) ??
    kernelIdOf(widget.console) ??
    kernelIdOf(widget.content);
  if (kernel !== undefined) {
    return `kernel:${kernel}`;
  }
  const { content } = widget;
  const name = content?.session?.name;
  return typeof name === 'string' && content?.hasClass?.('jp-Terminal')
    ? `terminal:${name}`
    : undefined;
}
