"""Memory bank, nearest neighbours, message passing and similarities on tensors."""
