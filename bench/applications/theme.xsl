<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="html" encoding="UTF-8" indent="no"/>
  <xsl:template match="@*|node()">
    <xsl:copy><xsl:apply-templates select="@*|node()"/></xsl:copy>
  </xsl:template>
  <xsl:template match="/html">
    <html>
      <head><title>Shop: <xsl:value-of select="head/title"/></title><link rel="stylesheet" href="/theme.css"/></head>
      <body>
        <header><h1><xsl:value-of select="head/title"/></h1></header>
        <main><xsl:apply-templates select="body/node()"/></main>
        <footer><xsl:value-of select="count(//li)"/> products</footer>
      </body>
    </html>
  </xsl:template>
</xsl:stylesheet>
