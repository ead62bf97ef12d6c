import {
  ILayoutRestorer,
  JupyterFrontEnd,
  JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { span } from '../format';
import { hourglassIcon } from '../icons';
import { showJournal } from '../journal';
import { IdleCullerPanel } from '../panel';
import { CommandIDs, IIdleCuller } from '../tokens';

const RANK = 900;
const OPEN_SETTINGS = 'settingeditor:open';
const USUAL_MINUTES = 60;
/** What the palette offers to keep awake for, in minutes. */
const CHOICES = [15, 60, 240];

/** The panel in the right area, and the commands. */
export const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter_idle_culler:panel',
  description: 'Shows what is idle, when it goes and why.',
  autoStart: true,
  requires: [IIdleCuller],
  optional: [ICommandPalette, ILayoutRestorer, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    { client, preferences, wishes }: IIdleCuller,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load('jupyter_idle_culler');
    const { commands, shell } = app;
    const { model } = client;
    const panel = new IdleCullerPanel({
      client,
      wishes,
      preferences,
      trans,
      openSettings: () => {
        if (commands.hasCommand(OPEN_SETTINGS)) {
          void commands.execute(OPEN_SETTINGS, { query: 'Idle Culler' });
        }
      },
      openJournal: () => void showJournal(client, trans)
    });
    shell.add(panel, 'right', { rank: RANK });
    restorer?.add(panel, panel.id);

    commands.addCommand(CommandIDs.show, {
      label: trans.__('Show Idle Culler'),
      icon: args => (args.isPalette ? undefined : hourglassIcon),
      execute: () => {
        if (!panel.isAttached) {
          shell.add(panel, 'right', { rank: RANK });
        }
        shell.activateById(panel.id);
      }
    });
    commands.addCommand(CommandIDs.keepWorking, {
      label: trans.__('Keep Working'),
      isEnabled: () => model.mayWrite,
      execute: () => wishes.keepWorking()
    });
    commands.addCommand(CommandIDs.keepAwake, {
      label: args =>
        trans.__(
          'Keep Awake for %1',
          span(minutesOf(args.minutes) * 60, trans)
        ),
      isEnabled: () =>
        model.mayWrite && model.status?.policy.max_keep_alive_minutes !== 0,
      execute: args => wishes.keepAwake(minutesOf(args.minutes))
    });
    commands.addCommand(CommandIDs.cancel, {
      label: trans.__('Cancel My Keep-Alives'),
      isEnabled: () =>
        model.mayWrite &&
        model.status?.keep_alives.some(kept => kept.mine) === true,
      execute: () => wishes.cancel()
    });
    commands.addCommand(CommandIDs.stopNow, {
      label: trans.__('Stop Now …'),
      isEnabled: () => model.mayStop,
      execute: () => wishes.stopNow()
    });
    model.changed.connect(() => {
      for (const id of Object.values(CommandIDs)) {
        commands.notifyCommandChanged(id);
      }
    });

    if (palette !== null) {
      const category = trans.__('Idle Culler');
      palette.addItem({ command: CommandIDs.show, category });
      palette.addItem({ command: CommandIDs.keepWorking, category });
      palette.addItem({ command: CommandIDs.cancel, category });
      palette.addItem({ command: CommandIDs.stopNow, category });
      for (const minutes of CHOICES) {
        const args = { minutes };
        palette.addItem({ command: CommandIDs.keepAwake, category, args });
      }
    }
  }
};

function minutesOf(value: unknown): number {
  return typeof value === 'number' ? value : USUAL_MINUTES;
}
