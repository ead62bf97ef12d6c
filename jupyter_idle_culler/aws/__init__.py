"""What speaks to AWS: in a short-lived process of its own, so that the server never loads boto3."""
