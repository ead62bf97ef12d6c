/** A number of the settings form, with what the administrator's bounds make of it below it. */

import { TranslationBundle } from '@jupyterlab/translation';
import { IFormRenderer, UseSignal } from '@jupyterlab/ui-components';
import * as React from 'react';

import { boundText } from './serversettings';
import { SettingsLink } from './settings';

type FieldRenderer = NonNullable<IFormRenderer['fieldRenderer']>;
type FieldProps = React.ComponentProps<FieldRenderer>;

/** Return what draws the field of a setting that the server calls by this name. */
export function boundedField(
  onServer: string,
  link: SettingsLink,
  trans: TranslationBundle
): FieldRenderer {
  return function BoundedField(props: FieldProps): JSX.Element {
    const { NumberField } = props.registry.fields;
    return (
      <UseSignal signal={link.changed}>
        {() => {
          const setting = link.onServer?.[onServer];
          const wish: unknown = props.formData;
          return (
            <>
              <label
                className="jp-FormGroup-fieldLabel jp-FormGroup-contentItem"
                htmlFor={props.idSchema.$id}
              >
                {props.schema.title}
              </label>
              <NumberField
                {...props}
                readonly={props.readonly || setting?.locked === true}
              />
              {setting === undefined ? null : (
                <div
                  className="jp-IdleCuller-settingBound"
                  data-setting={onServer}
                  role="status"
                >
                  {boundText(
                    setting,
                    typeof wish === 'number' ? wish : null,
                    trans
                  )}
                </div>
              )}
            </>
          );
        }}
      </UseSignal>
    );
  };
}
