"""Autostop: the same decision for machines on which the extension is not or cannot be installed.

One run is one look; cron, a systemd timer or `--every` makes it again. Standard library only (boto3
when something is to be stopped), Python 3.8 syntax. The offline scripts carry these modules in one
compressed file, so what is here is kept short.
"""
