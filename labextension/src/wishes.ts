/** What a person may wish: passed on to the server, which decides. */

import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { ServiceManager } from '@jupyterlab/services';
import { TranslationBundle } from '@jupyterlab/translation';

import { IResource, RequestError, UnreachableError } from './api';
import { Client, messageOf } from './client';
import { kernelsAndTerminals } from './format';
import { whatStops } from './headline';
import { StopWatcher } from './stop';

export type ResourceKind = 'kernel' | 'terminal';

/** The wishes of a person; a refusal is shown with the server's own reason. */
export class Wishes {
  constructor(
    private readonly _client: Client,
    private readonly _stop: StopWatcher,
    private readonly _manager: ServiceManager.IManager,
    private readonly _inFront: () => string | undefined,
    private readonly _trans: TranslationBundle
  ) {}

  /** Say that a person is here, as typing would. Resolves to whether that got through. */
  keepWorking(): Promise<boolean> {
    return this._try(() => this.reportPresence());
  }

  /** Report a person at work, with the kernel in front where the server knows it. */
  async reportPresence(): Promise<void> {
    const { api } = this._client;
    try {
      await api.presence(this._inFront());
    } catch (error) {
      if (!(error instanceof RequestError && error.status === 404)) {
        throw error;
      }
      await api.presence(); // the kernel has just gone, or lives elsewhere
    }
  }

  /** Keep the host, or one resource, awake for so many minutes. Resolves to whether it is. */
  keepAwake(minutes: number, resource?: string): Promise<boolean> {
    return this._try(() => this._client.api.keepAlive(minutes, resource));
  }

  /** End one keep-alive, or all of one's own. */
  async cancel(id?: string): Promise<void> {
    await this._try(() => this._client.api.cancelKeepAlive(id));
  }

  /** Ask, save, and stop what an idle host would be stopped by. Resolves to whether it was. */
  async stopNow(): Promise<boolean> {
    if (!(await this._confirmStop())) {
      return false;
    }
    if (this._client.model.status?.dry_run) {
      return this._tryStop();
    }
    const { failed } = await this._stop.save();
    if (failed.length > 0 && !(await this._confirmLoss(failed))) {
      return false;
    }
    this._stop.asked();
    try {
      await this._client.api.stop();
    } catch (error) {
      if (error instanceof UnreachableError) {
        this._stop.gone(); // it has stopped before it could answer
      } else {
        this._stop.withdrawn();
        this._refused(messageOf(error));
        return false;
      }
    }
    return true;
  }

  /** In a dry run: record the wish; what would have been done is said. */
  private async _tryStop(): Promise<boolean> {
    await this._try(async () => {
      const { detail } = await this._client.api.stop();
      Notification.info(detail, { autoClose: 10_000 });
    });
    return false;
  }

  /** Ask, and shut one kernel or terminal down. */
  async shutDown(resource: IResource, kind: ResourceKind): Promise<void> {
    const trans = this._trans;
    const result = await showDialog({
      title: trans.__('Shut down %1?', resource.label),
      body:
        resource.verdict === 'active'
          ? trans.__('It is at work: %1', resource.reason)
          : kind === 'kernel'
            ? trans.__('Its variables are lost; saved documents stay.')
            : trans.__('What runs in it ends.'),
      buttons: [
        Dialog.cancelButton({ label: trans.__('Cancel') }),
        Dialog.warnButton({ label: trans.__('Shut down') })
      ]
    });
    if (result.button.accept) {
      await this._try(() =>
        kind === 'kernel'
          ? this._shutDownKernel(resource.id)
          : this._manager.terminals.shutdown(resource.id)
      );
    }
  }

  /** End a kernel through its session where it has one, so that its document knows. */
  private async _shutDownKernel(id: string): Promise<void> {
    const { kernels, sessions } = this._manager;
    for (const session of sessions.running()) {
      if (session.kernel?.id === id) {
        await sessions.shutdown(session.id);
        return;
      }
    }
    await kernels.shutdown(id);
  }

  private async _confirmStop(): Promise<boolean> {
    const trans = this._trans;
    const { status } = this._client.model;
    const what = whatStops(status?.host.stop_action ?? '', trans);
    const lost = kernelsAndTerminals(
      status?.kernels.length ?? 0,
      status?.terminals.length ?? 0,
      trans
    );
    const result = await showDialog({
      title: trans.__('Stop now?'),
      body: status?.dry_run
        ? trans.__('Dry run: it is only recorded, nothing is stopped.')
        : lost === null
          ? trans.__('%1 is stopped. Your documents are saved first.', what)
          : trans.__(
              '%1 is stopped, and %2 with it. Your documents are saved first.',
              what,
              lost
            ),
      buttons: [
        Dialog.cancelButton({ label: trans.__('Cancel') }),
        Dialog.warnButton({ label: trans.__('Stop now') })
      ]
    });
    return result.button.accept;
  }

  private async _confirmLoss(failed: readonly string[]): Promise<boolean> {
    const trans = this._trans;
    const result = await showDialog({
      title: trans.__('Stop without saving?'),
      body: trans.__('These could not be saved: %1', failed.join(', ')),
      buttons: [
        Dialog.cancelButton({ label: trans.__('Cancel') }),
        Dialog.warnButton({ label: trans.__('Stop and lose the changes') })
      ]
    });
    return result.button.accept;
  }

  /** Do it, look what became of it, and show why where it was refused. */
  private async _try(wish: () => Promise<unknown>): Promise<boolean> {
    this._client.model.setRefusal('');
    let done = true;
    try {
      await wish();
    } catch (error) {
      done = false;
      this._refused(messageOf(error));
    }
    await this._client.refresh();
    return done;
  }

  private _refused(message: string): void {
    this._client.model.setRefusal(message);
    if (!this._client.isDetailed) {
      // The panel shows it itself; without the panel nobody would see it.
      Notification.error(message, { autoClose: 10_000 });
    }
  }
}
