/** The icon of the panel: an hourglass in the theme's own colours. */

import { LabIcon } from '@jupyterlab/ui-components';

const HOURGLASS = `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <path class="jp-icon3" fill="#616161" d="M6 2v6l4 4-4 4v6h12v-6l-4-4 4-4V2H6zm10 14.5V20H8v-3.5l4-4 4 4zm-4-5-4-4V4h8v3.5l-4 4z"/>
</svg>`;

export const hourglassIcon = new LabIcon({
  name: 'jupyter_idle_culler:hourglass',
  svgstr: HOURGLASS
});
