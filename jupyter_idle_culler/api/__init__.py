"""REST under ``{base_url}api/idle-culler/v1/``: handlers, views, and their document."""
