"""What IAM is to allow: only named instance types to people, and to each function what it does.

Nothing here speaks to AWS: policies are rendered, to be read and attached by an administrator.
"""
